//! The name of a topic: one that an app declares, or one of the few that Bis reserves.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{InvalidName, name_error};

/// The name of a topic within its app. Those that apps declare are kebab-case, as all names; the reserved ones hold a dot,
/// so that no app can declare one of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Name);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Declared(Cow<'static, str>),
    Reserved(ReservedTopic),
}

/// A topic that Bis keeps for itself in every app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ReservedTopic {
    /// Dead letters.
    Dead,
}

impl ReservedTopic {
    const ALL: [Self; 1] = [Self::Dead];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "bis.dead",
        }
    }
}

impl TopicName {
    /// The reserved topic of dead letters.
    pub const DEAD: Self = Self(Name::Reserved(ReservedTopic::Dead));

    /// The name that a program declares.
    ///
    /// # Panics
    /// When `name` is not kebab-case of at most 63 bytes; in a const context that is a compile error.
    pub const fn from_static(name: &'static str) -> Self {
        if let Some(reason) = name_error(name) {
            panic!("{}", reason);
        }
        Self(Name::Declared(Cow::Borrowed(name)))
    }

    /// The name in a text from outside, as an app may declare it: never a reserved one, which [`TopicName::deserialize`]
    /// takes too.
    pub fn parse(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        match name_error(&name) {
            None => Ok(Self(Name::Declared(Cow::Owned(name)))),
            Some(reason) => Err(InvalidName { name, reason }),
        }
    }

    /// Which reserved topic it names; `None` when an app declares it.
    pub const fn reserved(&self) -> Option<ReservedTopic> {
        match &self.0 {
            Name::Declared(_) => None,
            Name::Reserved(reserved) => Some(*reserved),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Declared(name) => name,
            Name::Reserved(reserved) => reserved.as_str(),
        }
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TopicName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::parse(name)
    }
}

impl Serialize for TopicName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match ReservedTopic::ALL.into_iter().find(|reserved| reserved.as_str() == name) {
            Some(reserved) => Ok(Self(Name::Reserved(reserved))),
            None => Self::parse(name).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reserved_topic_may_hold_a_dot() {
        assert_eq!(serde_json::from_str::<TopicName>("\"bis.dead\"").unwrap(), TopicName::DEAD);
        assert_eq!(serde_json::to_string(&TopicName::DEAD).unwrap(), "\"bis.dead\"");
        assert_eq!(TopicName::DEAD.reserved(), Some(ReservedTopic::Dead));
        assert!(serde_json::from_str::<TopicName>("\"bis.other\"").is_err());
        assert!(TopicName::parse("bis.dead").is_err(), "an app cannot declare it");
        assert_eq!(TopicName::from_static("orders").reserved(), None);
    }
}
