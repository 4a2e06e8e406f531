//! Keys and attributes as text: what serde writes as one JSON scalar, and nothing else.

use std::fmt::Display;

use serde::{
    Serialize,
    ser::{Error as _, Impossible, Serializer},
};

/// A key or an attribute that serde writes as something other than one JSON scalar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is a key or an attribute, but {what}: only texts, numbers and booleans travel as such")]
pub struct NotAScalar {
    /// The field, by its name in JSON.
    field: &'static str,
    /// What it is instead, or why it does not serialize.
    what: String,
}

/// The JSON scalar that a field serializes as, as text: a text without its quotes, `None` for null.
///
/// # Errors
/// When it serializes as anything else.
pub fn scalar_text<T: Serialize + ?Sized>(
    field: &'static str,
    value: &T,
) -> Result<Option<String>, NotAScalar> {
    value.serialize(ScalarText).map_err(|Refused(what)| NotAScalar { field, what })
}

/// Why the serializer took nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl serde::ser::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct ScalarText;

fn refuse<T>(what: &str) -> Result<T, Refused> {
    Err(Refused::custom(format_args!("it serializes as {what}")))
}

macro_rules! displayed {
    ($($method:ident: $Type:ty),* $(,)?) => {$(
        fn $method(self, value: $Type) -> Result<Self::Ok, Self::Error> {
            Ok(Some(value.to_string()))
        }
    )*};
}

impl Serializer for ScalarText {
    type Ok = Option<String>;
    type Error = Refused;
    type SerializeSeq = Impossible<Option<String>, Refused>;
    type SerializeTuple = Impossible<Option<String>, Refused>;
    type SerializeTupleStruct = Impossible<Option<String>, Refused>;
    type SerializeTupleVariant = Impossible<Option<String>, Refused>;
    type SerializeMap = Impossible<Option<String>, Refused>;
    type SerializeStruct = Impossible<Option<String>, Refused>;
    type SerializeStructVariant = Impossible<Option<String>, Refused>;

    displayed! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
    }

    fn serialize_f32(self, value: f32) -> Result<Self::Ok, Self::Error> {
        json_number(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<Self::Ok, Self::Error> {
        json_number(&value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Self::Ok, Self::Error> {
        refuse("an array of bytes")
    }

    fn serialize_none(self) -> Result<Self::Ok, Self::Error> {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Self::Ok, Self::Error> {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Self::Ok, Self::Error> {
        Ok(None)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, Self::Error> {
        Ok(Some(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, Self::Error> {
        refuse("an object")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Self::Error> {
        refuse("an array")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Self::Error> {
        refuse("an array")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Self::Error> {
        refuse("an array")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Self::Error> {
        refuse("an object")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
        refuse("an object")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Self::Error> {
        refuse("an object")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Self::Error> {
        refuse("an object")
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error> {
        Ok(Some(value.to_string()))
    }
}

/// A float as JSON writes it, which differs from `Display` for large ones; what JSON cannot write is null.
fn json_number<T: Serialize>(value: &T) -> Result<Option<String>, Refused> {
    let text = serde_json::to_string(value).map_err(Refused::custom)?;
    Ok((text != "null").then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Meters(f64);

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Region {
        EuWest,
        Other(String),
    }

    #[track_caller]
    fn check(value: impl Serialize, expected: Option<&str>) {
        assert_eq!(scalar_text("field", &value).unwrap().as_deref(), expected);
    }

    #[test]
    fn a_scalar_is_its_text_without_quotes() {
        check("a \"b\"", Some("a \"b\""));
        check('x', Some("x"));
        check(7_u8, Some("7"));
        check(-7_i64, Some("-7"));
        check(u64::MAX, Some("18446744073709551615"));
        check(true, Some("true"));
        check(Meters(1.5), Some("1.5"));
        check(1e300, Some("1e+300"));
        check(f64::NAN, None);
        check(Region::EuWest, Some("eu-west"));
        check(Some(3), Some("3"));
        check(None::<u8>, None);
    }

    #[test]
    fn what_is_no_scalar_is_refused_with_its_field() {
        assert!(scalar_text("f", &[1, 2]).is_err());
        assert!(scalar_text("f", &(1, 2)).is_err());
        assert!(scalar_text("f", &Region::Other("x".into())).is_err());
        let error = scalar_text("tags", &std::collections::BTreeMap::from([(1, 2)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`tags` is a key or an attribute, but it serializes as an object: only texts, numbers and booleans travel \
             as such"
        );
    }
}
