//! Writes JSON that can be read back. Where serde_json writes something else than the value, or what its reader refuses, this
//! is an error that names the field: NaN and the infinities, which become `null`, and values nested too deeply.
//!
//! It wraps serde_json's serializer, so a value is walked once. It knows nothing of events.

use std::{cell::RefCell, fmt};

use serde::{
    Serialize, Serializer,
    ser::{self, Error as _},
};

/// How deeply serde_json's reader follows arrays and objects: it gives up at the 128th.
const MAX_DEPTH: u8 = 127;

/// Why a value cannot be written.
#[derive(Debug)]
pub(crate) struct WriteError {
    /// The place within the value, as in `lines[2].price`; empty for the value itself.
    path: String,
    /// What is wrong there.
    reason: String,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => write!(f, "it {}", self.reason),
            path => write!(f, "`{path}` {}", self.reason),
        }
    }
}

impl std::error::Error for WriteError {}

/// Appends a value's JSON to `out`.
///
/// # Errors
/// When it could not be read back. `out` then ends with a part of it.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError> {
    checked(value, &mut serde_json::Serializer::new(out))
}

/// A value's JSON as a tree.
///
/// # Errors
/// When it could not be read back.
pub(crate) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<serde_json::Value, WriteError> {
    checked(value, serde_json::value::Serializer)
}

fn checked<T, S>(value: &T, serializer: S) -> Result<S::Ok, WriteError>
where
    T: Serialize + ?Sized,
    S: Serializer<Error = serde_json::Error>,
{
    let place = Place::default();
    value.serialize(Checked { inner: serializer, place: &place, depth: 0 }).map_err(|error| {
        let mut reason = error.to_string();
        if !reason.starts_with("is ") {
            reason = format!("does not serialize to JSON: {reason}");
        }
        WriteError { path: place.path(), reason }
    })
}

/// The path of the value that failed, innermost segment first. It is filled while the failure travels outwards, so that
/// success costs nothing.
#[derive(Default)]
struct Place(RefCell<Vec<Segment>>);

enum Segment {
    Name(String),
    Index(usize),
}

impl Place {
    #[inline]
    fn name<T, E>(&self, result: Result<T, E>, name: &str) -> Result<T, E> {
        if result.is_err() {
            self.push(Segment::Name(name.to_owned()));
        }
        result
    }

    /// Out of line, since nearly nothing fails.
    #[cold]
    fn push(&self, segment: Segment) {
        self.0.borrow_mut().push(segment);
    }

    #[inline]
    fn key<T, E>(&self, result: Result<T, E>, key: &(impl Serialize + ?Sized)) -> Result<T, E> {
        if result.is_err() {
            let text = serde_json::to_string(key).unwrap_or_default();
            self.push(Segment::Name(text.trim_matches('"').to_owned()));
        }
        result
    }

    #[inline]
    fn index<T, E>(&self, result: Result<T, E>, index: usize) -> Result<T, E> {
        if result.is_err() {
            self.push(Segment::Index(index));
        }
        result
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.borrow().iter().rev() {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                Segment::Name(name) if path.is_empty() => path.push_str(name),
                Segment::Name(name) => path.push_str(&format!(".{name}")),
            }
        }
        path
    }
}

/// A serializer that refuses what could not be read back, before an inner one.
struct Checked<'a, S> {
    inner: S,
    place: &'a Place,
    depth: u8,
}

/// A part of a value on its way into an inner serializer, which will ask it to serialize itself.
struct Part<'a, T: ?Sized> {
    value: &'a T,
    place: &'a Place,
    depth: u8,
}

impl<T: Serialize + ?Sized> Serialize for Part<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Checked { inner: serializer, place: self.place, depth: self.depth })
    }
}

impl<'a, S: Serializer> Checked<'a, S> {
    #[inline]
    fn part<'b, T: ?Sized>(&self, value: &'b T, depth: u8) -> Part<'b, T>
    where
        'a: 'b,
    {
        Part { value, place: self.place, depth }
    }

    /// The depth within `levels` more arrays or objects.
    #[inline]
    fn within(&self, levels: u8) -> Result<u8, S::Error> {
        match self.depth.checked_add(levels) {
            Some(depth) if depth <= MAX_DEPTH => Ok(depth),
            _ => Err(S::Error::custom(format!(
                "is nested in more than {MAX_DEPTH} levels of arrays and objects, which cannot be read back; flatten the type"
            ))),
        }
    }
}

fn finite<E: ser::Error>(number: f64) -> Result<(), E> {
    if number.is_finite() {
        return Ok(());
    }
    Err(E::custom(format!(
        "is {number}, which JSON has no number for; check it with `is_finite()`, or make it an `Option` that is `None` then"
    )))
}

macro_rules! as_they_are {
    ($($method:ident($ty:ty))*) => {$(
        fn $method(self, value: $ty) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Checked<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'a, S::SerializeSeq>;
    type SerializeTuple = Compound<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'a, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'a, S::SerializeMap>;
    type SerializeStruct = Compound<'a, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'a, S::SerializeStructVariant>;

    as_they_are! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        finite(value.into())?;
        self.inner.serialize_f32(value)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        finite(value)?;
        self.inner.serialize_f64(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let part = self.part(value, self.depth);
        self.inner.serialize_some(&part)
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let part = self.part(value, self.depth);
        self.inner.serialize_newtype_struct(name, &part)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (place, part) = (self.place, self.part(value, self.within(1)?));
        place.name(self.inner.serialize_newtype_variant(name, index, variant, &part), variant)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let (place, depth) = (self.place, self.within(1)?);
        Ok(Compound::new(self.inner.serialize_seq(len)?, place, depth))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let (place, depth) = (self.place, self.within(1)?);
        Ok(Compound::new(self.inner.serialize_tuple(len)?, place, depth))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let (place, depth) = (self.place, self.within(1)?);
        Ok(Compound::new(self.inner.serialize_tuple_struct(name, len)?, place, depth))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let (place, depth) = (self.place, self.within(2)?);
        let inner = self.inner.serialize_tuple_variant(name, index, variant, len)?;
        Ok(Compound { variant: Some(variant), ..Compound::new(inner, place, depth) })
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let (place, depth) = (self.place, self.within(1)?);
        Ok(Compound::new(self.inner.serialize_map(len)?, place, depth))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let (place, depth) = (self.place, self.within(1)?);
        Ok(Compound::new(self.inner.serialize_struct(name, len)?, place, depth))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let (place, depth) = (self.place, self.within(2)?);
        let inner = self.inner.serialize_struct_variant(name, index, variant, len)?;
        Ok(Compound { variant: Some(variant), ..Compound::new(inner, place, depth) })
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// An array or an object whose parts are checked.
struct Compound<'a, C> {
    inner: C,
    place: &'a Place,
    depth: u8,
    /// How many parts of an array came before.
    index: usize,
    /// The enum's variant, which is a level of its own in JSON.
    variant: Option<&'static str>,
}

impl<'a, C> Compound<'a, C> {
    fn new(inner: C, place: &'a Place, depth: u8) -> Self {
        Self { inner, place, depth, index: 0, variant: None }
    }

    #[inline]
    fn part<'b, T: ?Sized>(&self, value: &'b T) -> Part<'b, T>
    where
        'a: 'b,
    {
        Part { value, place: self.place, depth: self.depth }
    }

    /// The next part of an array, at its place.
    #[inline]
    fn item<E>(&mut self, write: impl FnOnce(&mut C) -> Result<(), E>) -> Result<(), E> {
        let result = self.place.index(write(&mut self.inner), self.index);
        self.index += 1;
        self.of_variant(result)
    }

    #[inline]
    fn of_variant<E>(&self, result: Result<(), E>) -> Result<(), E> {
        match self.variant {
            Some(variant) => self.place.name(result, variant),
            None => result,
        }
    }
}

macro_rules! arrays {
    ($($Trait:ident $method:ident)*) => {$(
        impl<C: ser::$Trait> ser::$Trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let part = self.part(value);
                self.item(|inner| inner.$method(&part))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

arrays! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! structs {
    ($($Trait:ident)*) => {$(
        impl<C: ser::$Trait> ser::$Trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                let part = self.part(value);
                let result = self.place.name(self.inner.serialize_field(key, &part), key);
                self.of_variant(result)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

structs!(SerializeStruct SerializeStructVariant);

impl<C: ser::SerializeMap> ser::SerializeMap for Compound<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.place.key(self.inner.serialize_key(key), key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&self.part(value))
    }

    #[inline]
    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), C::Error>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let part = self.part(value);
        self.place.key(self.inner.serialize_entry(key, &part), key)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Line {
        price: f64,
    }

    #[derive(Serialize)]
    enum Shape {
        Circle(f32),
        Point { x: f64 },
        Pair(f64, f64),
    }

    #[track_caller]
    fn refused(value: &impl Serialize) -> String {
        assert_eq!(
            write(&mut Vec::new(), value).unwrap_err().to_string(),
            to_value(value).unwrap_err().to_string()
        );
        to_value(value).unwrap_err().to_string()
    }

    #[track_caller]
    fn check(value: &impl Serialize, place: &str) {
        let error = refused(value);
        assert!(error.starts_with(place), "{error}");
    }

    #[test]
    fn a_number_that_json_has_not_is_refused_with_its_place() {
        let nan = f64::NAN;
        check(&nan, "it is NaN, which JSON has no number for");
        check(&f32::NEG_INFINITY, "it is -inf");
        check(&Some(f64::INFINITY), "it is inf");
        check(&[Line { price: 1.0 }, Line { price: nan }], "`[1].price` is NaN");
        check(&BTreeMap::from([("lines", vec![(7, Line { price: nan })])]), "`lines[0][1].price` is NaN");
        check(&BTreeMap::from([(3, nan)]), "`3` is NaN");
        check(&Shape::Circle(f32::NAN), "`Circle` is NaN");
        check(&Shape::Point { x: nan }, "`Point.x` is NaN");
        check(&Shape::Pair(1.0, nan), "`Pair[1]` is NaN");
    }

    #[test]
    fn what_serde_json_refuses_has_its_place_too() {
        let map = BTreeMap::from([("by_place", BTreeMap::from([((1, 2), true)]))]);
        let mut text = Vec::new();
        let error = write(&mut text, &map).unwrap_err().to_string();
        assert_eq!(error, "`by_place.[1,2]` does not serialize to JSON: key must be a string");
    }

    #[test]
    fn what_is_nested_as_deeply_as_it_can_be_read_is_written_and_no_deeper() {
        let nested = |depth: usize| (0..depth).fold(serde_json::Value::Null, |inner, _| vec![inner].into());
        let mut text = Vec::new();
        write(&mut text, &nested(127)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        let too_deep = serde_json::to_vec(&nested(128)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&too_deep).unwrap_err();
        let error = write(&mut text, &nested(128)).unwrap_err().to_string();
        assert!(error.contains("nested in more than 127 levels"), "{error}");
    }

    #[test]
    fn everything_else_is_written_as_serde_json_writes_it() {
        let raw = serde_json::value::RawValue::from_string("{\"a\": [1.50]}".into()).unwrap();
        let value = (
            ("a\"b", 'c', true, (), None::<u8>, Some(1u8)),
            (i128::MIN, u128::MAX, -1.5f32, 1e300),
            (Shape::Circle(1.0), Shape::Point { x: 2.0 }, Shape::Pair(3.0, 4.0)),
            (BTreeMap::from([(1u8, "x")]), raw, std::net::Ipv4Addr::LOCALHOST),
        );
        let mut text = Vec::new();
        write(&mut text, &value).unwrap();
        assert_eq!(text, serde_json::to_vec(&value).unwrap());
    }
}
