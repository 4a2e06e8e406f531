//! Names of what an app declares, and how they map to the narrower names of a broker.
//!
//! A name is kebab-case: lower-case letters, digits and single hyphens, first a letter, at most [`MAX_NAME_LEN`] bytes.
//! So a name holds neither `.` nor `_`, which leaves both free for names of our own and as a separator.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
pub const MAX_NAME_LEN: usize = 63;

/// Why `name` is no valid name, or `None` when it is one. Usable in a const assertion.
pub const fn name_error(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Some("a name must not be empty");
    }
    if bytes.len() > MAX_NAME_LEN {
        return Some("a name is at most 63 bytes long");
    }
    if !bytes[0].is_ascii_lowercase() {
        return Some("a name starts with a lower-case letter, as in `order-placed`");
    }
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' if i + 1 < bytes.len() && bytes[i + 1] != b'-' => {}
            b'-' => return Some("a name has single hyphens between its words, as in `order-placed`"),
            _ => {
                return Some(
                    "a name is kebab-case: lower-case letters, digits and hyphens, as in `order-placed`",
                );
            }
        }
        i += 1;
    }
    None
}

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid name: {reason}")]
pub struct InvalidName {
    /// The text.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $Name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $Name(Cow<'static, str>);

        impl $Name {
            /// The name that a program declares.
            ///
            /// # Panics
            /// When `name` is not kebab-case of at most 63 bytes; in a const context that is a compile error.
            pub const fn from_static(name: &'static str) -> Self {
                if let Some(reason) = name_error(name) {
                    panic!("{}", reason);
                }
                Self(Cow::Borrowed(name))
            }

            /// The name in a text from outside.
            pub fn parse(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                match name_error(&name) {
                    None => Ok(Self(Cow::Owned(name))),
                    Some(reason) => Err(InvalidName { name, reason }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $Name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::parse(name)
            }
        }
    )*};
}

macro_rules! deserialize_checked {
    ($($Name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// The name of an app.
    AppName;
    /// The name of a service within its app.
    ServiceName;
    /// The name of a topic within its app.
    TopicName;
    /// The name of a subscription within its topic.
    SubscriptionName;
    /// What keeps two instances of one app apart on the same infrastructure.
    Namespace;
}

deserialize_checked!(AppName ServiceName SubscriptionName Namespace);

impl TopicName {
    /// The reserved topic of dead letters. No user's topic can have this name, since a name holds no dot.
    pub const DEAD: TopicName = TopicName(Cow::Borrowed("bis.dead"));
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == Self::DEAD.as_str() {
            return Ok(Self::DEAD);
        }
        Self::parse(name).map_err(serde::de::Error::custom)
    }
}

/// The name of `name` on a broker that allows `max_len` bytes.
///
/// A namespace goes in front, separated by `_`, which no name holds. What is too long is cut and ends in `_` and a hash
/// of the whole, so that two long names stay apart. Without a namespace a name that fits stays as it is.
///
/// # Panics
/// When `max_len` is under 32: no broker is that narrow, and a hash needs room.
pub fn physical_name(namespace: Option<&Namespace>, name: &str, max_len: usize) -> String {
    assert!(max_len >= 32, "a broker's names have room for a hash");
    let whole = match namespace {
        Some(namespace) => format!("{namespace}_{name}"),
        None => name.to_owned(),
    };
    if whole.len() <= max_len {
        return whole;
    }
    let hash = format!("_{:016x}", fnv1a(whole.as_bytes()));
    format!("{}{hash}", &whole[..max_len - hash.len()])
}

/// A short name for bytes, of 16 digits that people may shorten: the same in every version and on every machine.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    // FNV leaves its highest digits much the same for much the same bytes.
    let hash = fnv1a(bytes);
    format!("{:016x}", (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// FNV-1a, 64 bit: stable over versions and machines, which the standard library's hasher is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kebab_case_is_a_name_and_nothing_else() {
        for good in ["a", "order-placed", "v2", "a-1-b"] {
            assert_eq!(name_error(good), None, "{good}");
        }
        for bad in ["", "Order", "1st", "-a", "a-", "a--b", "a_b", "a.b", "a b", "é", &"a".repeat(64)] {
            assert!(name_error(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_fits_stays_as_it_is() {
        assert_eq!(physical_name(None, "order-placed", 64), "order-placed");
        let dev = Namespace::from_static("dev");
        assert_eq!(physical_name(Some(&dev), "order-placed", 64), "dev_order-placed");
    }

    #[test]
    fn long_names_stay_apart_and_fit() {
        let namespace = Namespace::from_static("a-long-namespace");
        let first = physical_name(Some(&namespace), &format!("{}x", "a".repeat(62)), 64);
        let second = physical_name(Some(&namespace), &format!("{}y", "a".repeat(62)), 64);
        assert_eq!((first.len(), second.len()), (64, 64));
        assert_ne!(first, second);
    }

    #[test]
    fn only_the_reserved_topic_may_hold_a_dot() {
        assert_eq!(serde_json::from_str::<TopicName>("\"bis.dead\"").unwrap(), TopicName::DEAD);
        assert!(serde_json::from_str::<TopicName>("\"bis.other\"").is_err());
    }
}
