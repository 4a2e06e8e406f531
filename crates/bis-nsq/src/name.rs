//! Topic and channel names as NSQ allows them, checked once where they enter.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

/// The longest name of a topic or channel, in bytes, `#ephemeral` included.
pub const MAX_NAME_BYTES: usize = 64;

const EPHEMERAL: &[u8] = b"#ephemeral";

/// The name of a topic or of a channel: `^[.a-zA-Z0-9_-]+(#ephemeral)?$`, 1 to 64 bytes.
///
/// Cloning shares the bytes. It hashes and compares as its text, so a map can be queried with a `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Bytes);

/// A name that NSQ does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a valid name for an NSQ topic or channel; use 1 to 64 of the characters a-z A-Z 0-9 . _ -, \
     optionally followed by `#ephemeral`"
)]
pub struct NameError {
    /// The refused text; bytes that are not UTF-8 are replaced.
    pub name: String,
}

impl Name {
    /// Checks `text` and copies it.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, NameError> {
        Self::from_bytes(Bytes::copy_from_slice(text.as_ref()))
    }

    /// A copy with bytes of its own, for long-term use: a decoded name keeps the whole buffer that it came in alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Checks `bytes` and keeps them without a copy.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, NameError> {
        if Self::is_valid(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(NameError { name: String::from_utf8_lossy(&bytes).into_owned() })
        }
    }

    /// Whether NSQ allows these bytes as a name.
    #[must_use]
    pub fn is_valid(bytes: &[u8]) -> bool {
        let stem = bytes.strip_suffix(EPHEMERAL).unwrap_or(bytes);
        !stem.is_empty()
            && bytes.len() <= MAX_NAME_BYTES
            && stem.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a checked name is ASCII")
    }

    /// The name as bytes, without the check that [`Name::as_str`] repeats.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the topic or channel lives in memory only and disappears with its last client.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.0.ends_with(EPHEMERAL)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn names_are_checked_as_nsqd_checks_them() {
        let longest = "a".repeat(64);
        let longest_ephemeral = format!("{}#ephemeral", "a".repeat(54));
        for good in ["a", "order-placed", "bis.dead", "A_1.b-2", "x#ephemeral", &longest, &longest_ephemeral]
        {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(65);
        let too_long_ephemeral = format!("{}#ephemeral", "a".repeat(55));
        for bad in ["", "#ephemeral", "a b", "a#eph", "é", "a\n", "a#ephemeral#ephemeral", "a/b"] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        assert!(Name::new(too_long).is_err());
        assert!(Name::new(too_long_ephemeral).is_err());
        assert!(Name::new([0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_map_of_names_answers_text() {
        let mut map = HashMap::new();
        map.insert(Name::new("orders").unwrap(), 1);
        assert_eq!(map.get("orders"), Some(&1));
        assert!(Name::new("x#ephemeral").unwrap().is_ephemeral());
        assert!(!Name::new("x").unwrap().is_ephemeral());
    }
}
