//! Whether a type can be a key or an attribute, found out from the type alone: how it is deserialized shows how it is serialized.
//! So a struct as a key is an error when the app starts, and not when the first event is published.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};

use super::NotScalar;

/// The traits without their names, so that an expansion's glob import shadows nothing of the user's.
pub mod methods {
    pub use super::{ReadScalar as _, UnreadScalar as _};
}

/// Stands for the type of a field.
pub struct Shape<T>(PhantomData<fn() -> T>);

impl<T> Shape<T> {
    /// Stands for `T`.
    #[expect(clippy::new_without_default, reason = "only expansions make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A field whose type can be read, and so be asked.
pub trait ReadScalar {
    /// Whether the field can be a key or an attribute, as far as its type tells.
    ///
    /// # Errors
    /// When the type is written as an array or an object.
    fn check(&self, field: &'static str) -> Result<(), NotScalar>;
}

impl<T: DeserializeOwned> ReadScalar for &Shape<T> {
    fn check(&self, field: &'static str) -> Result<(), NotScalar> {
        match T::deserialize(Asked) {
            Err(Answer::Compound(json)) => Err(NotScalar { field, json: json.to_owned() }),
            _ => Ok(()),
        }
    }
}

/// Any other field: only a value can tell.
pub trait UnreadScalar {
    /// Nothing is known.
    ///
    /// # Errors
    /// None.
    fn check(&self, field: &'static str) -> Result<(), NotScalar>;
}

impl<T> UnreadScalar for Shape<T> {
    fn check(&self, _: &'static str) -> Result<(), NotScalar> {
        Ok(())
    }
}

/// A source without data, which only notes what it is asked for.
struct Asked;

/// What a type asked for.
#[derive(Debug)]
enum Answer {
    /// An array or an object, as it looks in JSON.
    Compound(&'static str),
    /// A scalar, or whatever there is.
    Other,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no data")
    }
}

impl std::error::Error for Answer {}

impl de::Error for Answer {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

macro_rules! compounds {
    ($($method:ident($($argument:ty),*) $json:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Answer> {
            Err(Answer::Compound($json))
        }
    )*};
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Answer;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Answer> {
        Err(Answer::Other)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Answer> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Answer> {
        visitor.visit_newtype_struct(self)
    }

    compounds! {
        deserialize_seq() "[..]"
        deserialize_bytes() "[..]"
        deserialize_byte_buf() "[..]"
        deserialize_tuple(usize) "[..]"
        deserialize_tuple_struct(&'static str, usize) "[..]"
        deserialize_map() "{..}"
        deserialize_struct(&'static str, &'static [&'static str]) "{..}"
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct enum identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only asked how it is read")]
    struct Id {
        a: u64,
    }

    #[derive(Deserialize)]
    struct Newtype<T>(T);

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Parsed;

    impl TryFrom<String> for Parsed {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(text)
        }
    }

    #[derive(Deserialize)]
    enum Region {
        Eu,
    }

    struct Unreadable;

    macro_rules! json {
        ($Field:ty) => {
            (&&Shape::<$Field>::new()).check("f").err().map(|error| error.json)
        };
    }

    #[test]
    fn a_type_tells_that_it_is_no_scalar() {
        for scalar in [
            json!(u64),
            json!(Option<String>),
            json!(Newtype<Newtype<bool>>),
            json!(Parsed),
            json!(Region),
            json!(std::net::IpAddr),
            json!(serde_json::Value),
            json!(Unreadable),
        ] {
            assert_eq!(scalar, None);
        }
        let _ = Region::Eu;
        assert_eq!(json!(Id).as_deref(), Some("{..}"));
        assert_eq!(json!(Option<Newtype<Id>>).as_deref(), Some("{..}"));
        assert_eq!(json!(Newtype<[u8; 16]>).as_deref(), Some("[..]"));
        assert_eq!(json!(std::time::Duration).as_deref(), Some("{..}"));
    }
}
