//! A message as a consumer receives it, and its id.

use std::fmt;

use bytes::Bytes;

/// The 16 bytes that identify one message in one channel. Clients treat them as opaque.
///
/// A server should use printable bytes, as the id is in the line of `FIN`, `REQ` and `TOUCH`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// How many bytes an id has.
    pub const BYTES: usize = 16;

    /// The id of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id with `number` as 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = DIGITS[(number >> (60 - 4 * index)) as usize & 0xf];
        }
        Self(bytes)
    }

    /// The number of an id that [`MessageId::from_number`] made.
    #[must_use]
    pub fn to_number(self) -> Option<u64> {
        self.0.iter().try_fold(0, |number, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(digit))
        })
    }

    /// The id in `bytes`, if there are exactly 16.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MessageId({self})")
    }
}

/// One delivery of a message to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When it was published, in nanoseconds since 1970.
    pub timestamp_ns: i64,
    /// How often the message was delivered, this time included. Stays at 65535.
    pub attempts: u16,
    /// The id to settle it by.
    pub id: MessageId,
    /// What a server that offers [`FEATURE_HISTORY`](crate::FEATURE_HISTORY) reports about its past.
    pub history: History,
    /// What was published.
    pub body: Bytes,
}

/// The history of a message before a delivery, besides its attempts (Bis's extension).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// How often its channel was moved back past it; see [`Command::Replay`](crate::Command::Replay).
    pub generation: u32,
    /// How often its consumer vanished with this message as the suspect. Stays at 65535.
    pub crashes: u16,
    /// Whether its last consumer vanished, so that the message may be the reason.
    pub is_suspect: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_a_number() {
        let id = MessageId::from_number(0x0123_4567_89ab_cdef);
        assert_eq!(id.as_bytes(), b"0123456789abcdef");
        assert_eq!(id.to_number(), Some(0x0123_4567_89ab_cdef));
        assert_eq!(MessageId::from_number(u64::MAX).to_number(), Some(u64::MAX));
        assert_eq!(MessageId::new(*b"0123456789abcdeF").to_number(), None);
        assert_eq!(MessageId::from_slice(b"0123456789abcde"), None);
    }
}
