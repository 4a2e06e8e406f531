//! A text that is usually short, kept in place: an event has several, and would otherwise allocate each.

use std::{
    borrow::{Borrow, Cow},
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many bytes are kept in place: with the length and the tag, the whole has 64.
const IN_PLACE: usize = 62;

/// A text that takes no allocation of its own up to 62 bytes. Clones of a longer one share it.
#[derive(Clone)]
pub struct ShortText(Kept);

#[derive(Clone)]
enum Kept {
    /// The first `length` bytes are the text.
    Here {
        length: u8,
        bytes: [u8; IN_PLACE],
    },
    There(Arc<str>),
}

impl ShortText {
    /// The parts, one after the other.
    pub fn concat<const PARTS: usize>(parts: [&str; PARTS]) -> Self {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Some(kept) = u8::try_from(length).ok().filter(|_| length <= IN_PLACE) else {
            return Self(Kept::There(parts.concat().into()));
        };
        let mut bytes = [0; IN_PLACE];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part.as_bytes());
            rest = after;
        }
        Self(Kept::Here { length: kept, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kept::Here { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).expect("it was made of whole texts")
            }
            Kept::There(text) => text,
        }
    }
}

impl Default for ShortText {
    fn default() -> Self {
        Self::concat([])
    }
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ShortText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for ShortText {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        Self::concat([text])
    }
}

impl From<String> for ShortText {
    fn from(text: String) -> Self {
        if text.len() > IN_PLACE { Self(Kept::There(text.into())) } else { Self::from(&*text) }
    }
}

impl From<&String> for ShortText {
    fn from(text: &String) -> Self {
        Self::from(&**text)
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ShortText {}

impl PartialEq<str> for ShortText {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for ShortText {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialOrd for ShortText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortText {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for ShortText {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for ShortText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for ShortText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Borrowed(text) = Deserialize::deserialize(deserializer)?;
        Ok(Self::from(&*text))
    }
}

/// A text that stays in the input where it is written there as it is. A `Cow` alone is always copied by serde.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Borrowed<'t>(#[serde(borrow)] pub(crate) Cow<'t, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_wherever_it_is_kept() {
        for length in [0, 1, 36, IN_PLACE, IN_PLACE + 1, 300] {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let short = ShortText::from(&text);
            assert_eq!((short.as_str(), short.len()), (&*text, length));
            assert_eq!(matches!(short.0, Kept::Here { .. }), length <= IN_PLACE);
            assert_eq!(short, ShortText::from(text.clone()));
            assert_eq!(short, ShortText::concat([&text, ""]));
            assert_eq!(serde_json::to_value(&short).unwrap(), text);
            assert_eq!(serde_json::from_value::<ShortText>(text.into()).unwrap(), short);
        }
        assert_eq!(size_of::<ShortText>(), 64);
    }

    #[test]
    fn parts_follow_each_other() {
        assert_eq!(ShortText::concat(["/", "shop", "/orders"]), "/shop/orders");
        let long = "a".repeat(60);
        assert_eq!(ShortText::concat([&long, "bcd"]), *format!("{long}bcd"));
        let (short, long) = (ShortText::from("a"), ShortText::from(long));
        assert!(short < long);
    }
}
