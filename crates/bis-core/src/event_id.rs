//! The id that a producer gives to an event and that stays with it on every broker.

use std::{borrow::Cow, fmt, time::SystemTime};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ShortText, name::short_hash, text::shortened};

/// The longest id that an app may give to an event, in bytes.
pub const MAX_EVENT_ID_BYTES: usize = 256;

/// The longest id that a log line holds, in bytes.
const MAX_SHOWN_BYTES: usize = MAX_EVENT_ID_BYTES;

/// The namespace of the UUIDs (version 5) that are made of ids which are not UUIDs themselves.
const IDENTITIES: Uuid = Uuid::from_u128(0x9c5d_3e6b_6f0a_4c58_8f2e_7b1d_52c4_a9e3);

/// Identifies one event. Ours are UUIDs of version 7, so they sort by time; another producer's may be any text that is
/// not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(ShortText);

impl EventId {
    /// A new id, unlike any other.
    pub fn generate() -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(ShortText::from(&*Uuid::now_v7().hyphenated().encode_lower(&mut buffer)))
    }

    /// The id of an event whose producer gave it none, derived from the message in which a broker `received` it.
    /// Topics and servers number their messages independently, and the time tells those apart.
    pub fn of_message(message: impl fmt::Display, received: SystemTime) -> Self {
        let since_1970 = received.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from(&*short_hash(format!("{message} {}", since_1970.as_nanos()).as_bytes()))
    }

    /// Why an app may not give this id to an event; `None` when it may. Ids of other producers are taken as they are.
    pub fn error(&self) -> Option<&'static str> {
        if self.0.is_empty() {
            return Some("an id must not be empty");
        }
        if self.0.len() > MAX_EVENT_ID_BYTES {
            return Some("an id is at most 256 bytes long; give it a hash of what is longer");
        }
        self.0.chars().any(char::is_control).then_some("an id has no control characters")
    }

    /// Whether it is a UUID, as ours are.
    pub fn is_uuid(&self) -> bool {
        Uuid::try_parse(&self.0).is_ok()
    }

    /// 16 bytes by which brokers recognize an event of this id from `source`. Those of a UUID, as ours are, are its own.
    /// Any other id is unique within its source alone, as CloudEvents says: it has the bytes of the UUID of version 5 whose
    /// name is the source, a line end and the id.
    pub fn identity(&self, source: &str) -> [u8; 16] {
        let uuid = Uuid::try_parse(&self.0)
            .unwrap_or_else(|_| Uuid::new_v5(&IDENTITIES, format!("{source}\n{}", self.0).as_bytes()));
        uuid.into_bytes()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the log shows it: another producer's may be as long as an event, and is cut with a mark.
    pub fn shown(&self) -> Cow<'_, str> {
        shortened(&self.0, MAX_SHOWN_BYTES)
    }
}

impl From<&str> for EventId {
    fn from(id: &str) -> Self {
        Self(ShortText::from(id))
    }
}

impl From<String> for EventId {
    fn from(id: String) -> Self {
        Self(ShortText::from(id))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_of_one_number_have_ids_of_their_own() {
        let at = |nanos| {
            EventId::of_message("0000000000000000", SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
        };
        assert_eq!(at(7), at(7));
        assert_ne!(at(7), at(8));
        assert_eq!(at(7).as_str().len(), 16);
    }

    #[test]
    fn a_uuid_is_its_own_identity() {
        let id = EventId::from("00112233-4455-6677-8899-aabbccddeeff");
        let bytes = id.identity("/shop");
        assert_eq!((bytes[0], bytes[1], bytes[15]), (0x00, 0x11, 0xff));
        assert_eq!(id.identity("/other"), bytes);
    }

    /// Routers have these in their journals, and other clients may compute them.
    #[test]
    fn another_id_is_one_within_its_source() {
        let identity = |source, id| Uuid::from_bytes(EventId::from(id).identity(source)).to_string();
        assert_eq!(identity("/shop/orders", "order-7"), "6ae2925c-61b3-520b-b6b1-a3c6c671f317");
        assert_ne!(identity("/shop/orders", "order-7"), identity("/shop/orders", "order-8"));
        assert_ne!(identity("/shop/orders", "order-7"), identity("/shop", "order-7"));
    }

    #[test]
    fn an_app_gives_ids_within_bounds() {
        let longest = "x".repeat(MAX_EVENT_ID_BYTES);
        for good in ["order 7/é", &longest] {
            assert_eq!(EventId::from(good).error(), None, "{good}");
        }
        for bad in ["", "a\nb", "\u{85}", &format!("{longest}x")] {
            assert!(EventId::from(bad).error().is_some(), "{bad:?}");
        }
    }
}
