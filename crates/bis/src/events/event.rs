//! What a type needs to travel as an event. The derive implements it; nothing here knows about brokers.

pub mod reach;
pub mod shape;
pub mod valid;

use std::cell::Cell;

use bis_core::{Attributes, redaction::Sensitive};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::FieldError, json};

/// A type whose values are published on a [`Topic`](crate::Topic). Implemented by `#[derive(Event)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "write `#[derive(Event, Serialize, Deserialize)]` above `{Self}`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type's name, as it travels and as the graph shows it.
    const TYPE: &'static str;

    /// The type's own fields, by their names in JSON, that are redacted where `bis` shows events and in the text of errors,
    /// as are those of types in its fields. A field without a name has its index, and hides the whole value.
    const SENSITIVE: &'static [&'static str] = &[];

    /// Whether events have a key of their own, which a topic needs to be [ordered](crate::Topic::ordered). True where
    /// [`Event::key`] is implemented.
    const HAS_KEY: bool = false;

    /// Whether events carry the identity of the user who caused them. True under `#[event(identity)]`.
    const IDENTITY: bool = false;

    /// The ordering key: the field under `#[event(key)]`.
    ///
    /// # Errors
    /// When the field does not serialize to a JSON scalar.
    fn key(&self) -> Result<Option<String>, NotScalar> {
        Ok(None)
    }

    /// The fields under `#[event(attribute)]`.
    ///
    /// # Errors
    /// When a field does not serialize to a JSON scalar.
    fn attributes(&self) -> Result<Attributes, NotScalar> {
        Ok(Attributes::new())
    }

    /// The fields that are wrong. An event with one is not published. `#[event(validate)]` on the type asks the rules of
    /// [garde](https://docs.rs/garde); without it every event is valid.
    ///
    /// Only what is published is checked, not what is delivered: events that are older than a rule must still be handled.
    fn invalid_fields(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// Asks the types of fields what is sensitive in them.
    #[doc(hidden)]
    fn nested_sensitive(_: &mut reach::Reach) {}

    /// Whether the types of key and attributes can be scalars; asked when an app starts.
    #[doc(hidden)]
    fn check_scalars() -> Result<(), NotScalar> {
        Ok(())
    }
}

/// A key or an attribute that is not a JSON scalar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{field}` is a key or an attribute and serializes to `{json}`; use text, a number, a boolean, or a type that serializes as one of them"
)]
pub struct NotScalar {
    /// The field.
    pub field: &'static str,
    /// What it serializes to, or why it does not.
    pub json: String,
}

/// A field as text: a JSON string without its quotes, a number or a boolean as JSON writes it, `None` for null.
///
/// # Errors
/// When it serializes to anything else.
pub fn scalar(field: &'static str, value: &impl Serialize) -> Result<Option<String>, NotScalar> {
    use serde_json::Value;
    match json::to_value(value) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) => Ok(Some(text)),
        Ok(scalar @ (Value::Bool(_) | Value::Number(_))) => Ok(Some(scalar.to_string())),
        Ok(other) => Err(NotScalar { field, json: other.to_string() }),
        Err(error) => Err(NotScalar { field, json: error.to_string() }),
    }
}

/// How events of one type are written and read, without the bound on the type: what a topic keeps, so that a type
/// without the derive is one error, where its topic is declared.
pub(crate) struct Codec<T> {
    /// The name of the type.
    pub(crate) name: &'static str,
    /// What is sensitive in it.
    pub(crate) sensitive: fn() -> Sensitive,
    /// Whether events have a key of their own.
    pub(crate) has_key: bool,
    /// Whether events carry an identity.
    pub(crate) identity: bool,
    /// Whether key and attributes can be scalars.
    pub(crate) check_scalars: fn() -> Result<(), NotScalar>,
    /// Writes an event.
    pub(crate) encode: fn(&T) -> Result<Encoded, EncodeError>,
    /// Reads an event.
    pub(crate) decode: fn(&[u8]) -> Result<T, serde_json::Error>,
}

/// The parts of an event that go into its envelope.
pub(crate) struct Encoded {
    pub(crate) data: Bytes,
    pub(crate) key: Option<String>,
    pub(crate) attributes: Attributes,
}

/// Why an event cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Json(#[from] json::WriteError),
    #[error(transparent)]
    NotScalar(#[from] NotScalar),
    #[error("it is not valid")]
    Invalid { fields: Vec<FieldError>, data: Bytes },
}

impl<T: Event> Codec<T> {
    pub(crate) const fn new() -> Self {
        Self {
            name: T::TYPE,
            sensitive: reach::sensitive_of::<T>,
            has_key: T::HAS_KEY,
            identity: T::IDENTITY,
            check_scalars: T::check_scalars,
            encode,
            decode: |data| serde_json::from_slice(data),
        }
    }
}

/// The most room for an event's JSON that a thread keeps for its next event, in bytes.
const KEPT_ROOM: usize = 64 * 1024;

thread_local! {
    /// Where events are written before their size is known.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn encode<T: Event>(event: &T) -> Result<Encoded, EncodeError> {
    // An event that is published while this one is written finds no room and makes its own.
    let mut room = ROOM.take();
    room.clear();
    let written = json::write(&mut room, event);
    let data = Bytes::copy_from_slice(&room);
    if room.capacity() <= KEPT_ROOM {
        ROOM.set(room);
    }
    written?;
    let fields = event.invalid_fields();
    if !fields.is_empty() {
        return Err(EncodeError::Invalid { fields, data });
    }
    Ok(Encoded { data, key: event.key()?, attributes: event.attributes()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_become_text_and_nothing_else_does() {
        assert_eq!(scalar("f", &"a\"b").unwrap().unwrap(), "a\"b");
        assert_eq!(scalar("f", &7u8).unwrap().unwrap(), "7");
        assert_eq!(scalar("f", &true).unwrap().unwrap(), "true");
        assert_eq!(scalar("f", &None::<u8>).unwrap(), None);
        assert!(scalar("tags", &["a"]).unwrap_err().to_string().starts_with("`tags` is a key"));
    }
}
