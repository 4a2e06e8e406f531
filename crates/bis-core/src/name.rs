//! Names of what an app declares.
//!
//! A name is kebab-case: lower-case letters, digits and single hyphens, first a letter, at most [`MAX_NAME_LEN`] bytes.
//! So a name holds neither `.` nor `_`, which leaves both free for names of our own and as a separator. How names map to
//! those of a broker is in [`PhysicalName`].

mod physical;
mod topic;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

pub(crate) use physical::short_hash;
pub use physical::{NameRules, PhysicalName};
pub use topic::{ReservedTopic, TopicName};

/// The longest name, in bytes.
pub const MAX_NAME_LEN: usize = 63;

/// Why `name` is not a valid name, or `None` when it is one. Usable in a const assertion.
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

/// The error for a text that is not a valid name.
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
    /// The name of a subscription within its topic.
    SubscriptionName;
    /// What keeps two instances of one app apart on the same infrastructure.
    Namespace;
}

deserialize_checked!(AppName ServiceName SubscriptionName Namespace);

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
}
