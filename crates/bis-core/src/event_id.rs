//! The id that a producer gives to an event and that stays with it on every broker.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{name::short_hash, text::shortened};

/// The most of an id that a line of the log holds, in bytes.
const MAX_SHOWN_BYTES: usize = 256;

/// Identifies one event. Ours are UUIDs of version 7, so they sort by time; another producer's may be any text that is
/// not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Arc<str>);

impl EventId {
    /// A new id, unlike any other.
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer)))
    }

    /// The id of an event whose producer gave it none, made of the message in which a broker `received` it. Topics and
    /// servers count their messages each for itself, and the time tells those apart.
    pub fn of_message(message: impl fmt::Display, received: SystemTime) -> Self {
        let since_1970 = received.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from(&*short_hash(format!("{message} {}", since_1970.as_nanos()).as_bytes()))
    }

    /// The id's 16 bytes when it is a UUID, as ours are.
    pub fn uuid_bytes(&self) -> Option<[u8; 16]> {
        uuid::Uuid::try_parse(&self.0).ok().map(uuid::Uuid::into_bytes)
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
        Self(Arc::from(id))
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
        assert_eq!((at(7).as_str().len(), at(7).uuid_bytes()), (16, None));
    }

    #[test]
    fn only_a_uuid_has_bytes() {
        let id = EventId::from("00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.uuid_bytes().map(|bytes| (bytes[0], bytes[1], bytes[15])), Some((0x00, 0x11, 0xff)));
        assert!(EventId::generate().uuid_bytes().is_some());
        assert_eq!(EventId::from("order-7").uuid_bytes(), None);
    }
}
