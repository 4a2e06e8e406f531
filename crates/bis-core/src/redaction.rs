//! Keeps sensitive values of an event's data out of what people and logs are shown. The one place that decides what is
//! hidden and how: the event's type says which parts are sensitive. Where types are looked up, in the source or in the program, is
//! the caller's matter; what follows from them is in [`Reach`].

mod reach;

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::Envelope;

pub use reach::Reach;

/// The placeholder for hidden values.
pub const REDACTED: &str = "[redacted]";
/// Data that nests deeper is hidden where it does.
const MAX_DEPTH: usize = 64;
/// A shorter value is left in texts: it would match everywhere, and reveals little.
const MIN_BYTES: usize = 3;

/// Which parts of an event's data are sensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sensitive {
    names: BTreeSet<String>,
    whole: bool,
}

impl Sensitive {
    /// Everything.
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Hides the fields of this name in JSON, at any depth. A name that is a number is the index of a field that has none,
    /// so that it cannot be told from others: then everything is hidden.
    pub fn add(&mut self, name: &str) {
        self.whole |= is_index(name);
        self.names.insert(name.to_owned());
    }

    /// Whether nothing is sensitive.
    pub fn is_empty(&self) -> bool {
        !self.whole && self.names.is_empty()
    }

    /// The names of the fields that are hidden, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether a field of this name is hidden.
    pub fn has(&self, name: &str) -> bool {
        self.whole || self.names.contains(name)
    }

    /// What is sensitive in this event. In a body that is not an envelope the event's own data cannot be located: then all of
    /// it is sensitive, if anything is.
    pub fn of(&self, event: &Envelope) -> Cow<'_, Self> {
        match event.malformed.is_some() && !self.is_empty() {
            true => Cow::Owned(Self { whole: true, names: self.names.clone() }),
            false => Cow::Borrowed(self),
        }
    }

    /// Hides what is sensitive in an event: in its data, its key where one of `key_fields`, the fields that it may come from, is,
    /// and the identity of the user who caused it.
    pub fn hide_event<'a>(&self, event: &mut Envelope, key_fields: impl IntoIterator<Item = &'a str>) {
        let is_everything = self.whole && self.names.is_empty();
        let is_key_hidden = is_everything || key_fields.into_iter().any(|field| self.names.contains(field));
        if let Some(key) = event.key.as_mut().filter(|_| is_key_hidden) {
            REDACTED.clone_into(key);
        }
        if let Some(identity) = &mut event.identity {
            REDACTED.clone_into(identity);
        }
        event.data = self.of(event).hide(&event.data).into();
    }

    /// The data without what is sensitive, as JSON. What is not sensitive stays byte for byte, but for white space; data that
    /// is not a JSON object is hidden as a whole.
    pub fn hide(&self, data: &[u8]) -> Vec<u8> {
        match self.read(data) {
            _ if self.is_empty() => data.to_vec(),
            Some(json) => self.hidden(json, MAX_DEPTH, &mut Vec::new()).into_bytes(),
            None => hidden().into_bytes(),
        }
    }

    /// The text without the sensitive values of the data: as they are in it, and as Rust and JSON escape them. An error that
    /// spells a value in another way shows it.
    pub fn hide_in_text(&self, text: String, data: &[u8]) -> String {
        if self.is_empty() {
            return text;
        }
        let mut found = Vec::new();
        match self.read(data) {
            Some(json) => drop(self.hidden(json, MAX_DEPTH, &mut found)),
            None => found.extend(serde_json::from_slice::<&RawValue>(data)),
        }
        let mut values = BTreeSet::new();
        for json in found {
            // What nests too deep for this is hidden above, and in no text.
            if let Ok(value) = serde_json::from_str(json.get()) {
                leaves(&value, &mut values, Names::Hidden);
            }
        }
        replace_all(text, values)
    }

    /// The data as JSON, where its fields can be told apart.
    fn read<'a>(&self, data: &'a [u8]) -> Option<&'a RawValue> {
        let json: &RawValue = serde_json::from_slice(data).ok()?;
        (!self.whole && json.get().starts_with('{')).then_some(json)
    }

    /// The JSON with what is sensitive hidden, which is noted in `found`.
    fn hidden<'a>(&self, json: &'a RawValue, depth: usize, found: &mut Vec<&'a RawValue>) -> String {
        let text = json.get();
        if !text.starts_with(['{', '[']) {
            return text.to_owned();
        }
        if depth == 0 {
            found.push(json);
            return hidden();
        }
        if text.starts_with('[') {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else { return hidden() };
            let items: Vec<String> =
                items.into_iter().map(|item| self.hidden(item, depth - 1, found)).collect();
            return format!("[{}]", items.join(","));
        }
        let Ok(Fields(fields)) = serde_json::from_str(text) else { return hidden() };
        let field = |(name, value): (String, &'a RawValue)| {
            let is_sensitive = self.names.contains(&name);
            let value = if is_sensitive {
                found.push(value);
                hidden()
            } else {
                self.hidden(value, depth - 1, found)
            };
            format!("{}:{value}", Value::from(name))
        };
        format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
    }
}

/// Whether a field has no name but an index: what is sensitive in it cannot be told from the rest.
fn is_index(name: &str) -> bool {
    name.parse::<usize>().is_ok()
}

/// What is hidden, as JSON.
fn hidden() -> String {
    format!("\"{REDACTED}\"")
}

/// The text without the values of an identity, which is JSON: as they are in it, and as Rust and JSON escape them. The names of its
/// fields stay.
pub fn hide_identity_in_text(text: String, identity: &str) -> String {
    let mut values = BTreeSet::new();
    if let Ok(value) = serde_json::from_str(identity) {
        leaves(&value, &mut values, Names::Shown);
    }
    replace_all(text, values)
}

/// The text without these values, but for those that are too short to be told from other words.
fn replace_all(mut text: String, values: BTreeSet<String>) -> String {
    let mut values: Vec<String> = values.into_iter().filter(|value| value.len() >= MIN_BYTES).collect();
    // A value may be part of another one.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        text = text.replace(&value, REDACTED);
    }
    text
}

/// Whether the names of fields are values, too: of a map that is sensitive as a whole they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Hidden,
    Shown,
}

/// The texts and numbers in a value, in each form in which a text may show them.
fn leaves(value: &Value, found: &mut BTreeSet<String>, names: Names) {
    match value {
        Value::String(text) => {
            found.insert(text.escape_debug().to_string());
            found.insert(Value::from(text.as_str()).to_string().trim_matches('"').to_owned());
            found.insert(text.clone());
        }
        Value::Number(number) => drop(found.insert(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found, names)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if names == Names::Hidden {
                    found.insert(name.clone());
                }
                leaves(value, found, names);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// An object's fields in their order, repeated ones included.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensitive(names: &[&str]) -> Sensitive {
        let mut sensitive = Sensitive::default();
        names.iter().for_each(|name| sensitive.add(name));
        sensitive
    }

    #[track_caller]
    fn check(names: &[&str], data: &str, expected: &str) {
        let shown = sensitive(names).hide(data.as_bytes());
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }

    #[track_caller]
    fn check_text(names: &[&str], data: &str, text: &str, expected: &str) {
        assert_eq!(sensitive(names).hide_in_text(text.to_owned(), data.as_bytes()), expected);
    }

    #[test]
    fn sensitive_fields_are_hidden_wherever_they_are() {
        let email = &["email"][..];
        check(
            email,
            r#"{"z":1.10, "\u0065mail":{"x":"y"},"email":2}"#,
            r#"{"z":1.10,"email":"[redacted]","email":"[redacted]"}"#,
        );
        check(email, r#"{"Placed":[{"email":"a@b.example"},7]}"#, r#"{"Placed":[{"email":"[redacted]"},7]}"#);
        for hidden in ["not json a@b.example", "[\"a@b.example\"]", "\"a@b.example\"", ""] {
            check(email, hidden, "\"[redacted]\"");
        }
        let deep = format!("{{\"d\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        check(email, &deep, &format!("{{\"d\":{}\"[redacted]\"{}}}", "[".repeat(63), "]".repeat(63)));
        check(&["0", "email"], r#"{"Placed":["a@b.example"]}"#, "\"[redacted]\"");
        check(&[], r#"{ "a": 1 }"#, r#"{ "a": 1 }"#);
        assert_eq!(Sensitive::whole().hide(b"{}"), b"\"[redacted]\"");
    }

    #[test]
    fn an_event_is_hidden_with_its_key() {
        let time = std::time::SystemTime::UNIX_EPOCH;
        let event = |malformed: Option<&str>| {
            let data = br#"{"email":"a@b.example","id":7}"#.to_vec().into();
            let mut event = Envelope::new(crate::EventId::generate(), "/t", "Placed", time, data);
            event.key = Some("a@b.example".to_owned());
            event.malformed = malformed.map(str::to_owned);
            event
        };
        let check = |sensitive: &Sensitive, malformed, data: &str, key: &str| {
            let mut event = event(malformed);
            sensitive.hide_event(&mut event, ["email"]);
            assert_eq!(std::str::from_utf8(&event.data).unwrap(), data);
            assert_eq!(event.key.as_deref(), Some(key));
        };
        let email = sensitive(&["email"]);
        check(&email, None, r#"{"email":"[redacted]","id":7}"#, REDACTED);
        check(&email, Some("no envelope"), "\"[redacted]\"", REDACTED);
        check(&sensitive(&["id"]), None, r#"{"email":"a@b.example","id":"[redacted]"}"#, "a@b.example");
        check(&sensitive(&["0"]), None, "\"[redacted]\"", "a@b.example");
        check(&Sensitive::whole(), None, "\"[redacted]\"", REDACTED);
        check(&sensitive(&[]), Some("no envelope"), r#"{"email":"a@b.example","id":7}"#, "a@b.example");
    }

    #[test]
    fn an_identity_is_hidden_where_events_are_shown_and_in_texts() {
        let mut event = Envelope::new(
            crate::EventId::generate(),
            "/t",
            "Placed",
            std::time::SystemTime::UNIX_EPOCH,
            "{}".into(),
        );
        event.identity = Some(r#"{"name":"ann","id":1234,"roles":["admin"]}"#.to_owned());
        let text = "ann (1234) is no admin: name and id do not fit".to_owned();
        let shown = hide_identity_in_text(text, event.identity.as_deref().unwrap());
        assert_eq!(shown, "[redacted] ([redacted]) is no [redacted]: name and id do not fit");
        Sensitive::default().hide_event(&mut event, []);
        assert_eq!(event.identity.as_deref(), Some(REDACTED));
        assert_eq!(&*event.data, b"{}");
    }

    #[test]
    fn values_of_sensitive_fields_are_hidden_in_texts() {
        let data =
            r#"{"email":"ann@b.example","card":{"number":4242424242},"alias":"ann@b.example.org","id":17}"#;
        let text = "no mail to ann@b.example.org or ann@b.example: 4242424242 of order 17";
        check_text(&["email"], data, text, "no mail to [redacted].org or [redacted]: 4242424242 of order 17");
        check_text(
            &["email", "alias", "card"],
            data,
            text,
            "no mail to [redacted] or [redacted]: [redacted] of order 17",
        );
        check_text(&["id"], data, text, text);
        check_text(&[], data, text, text);
        check_text(&["email"], "no json", text, text);
        check_text(&["0"], r#"{"Placed":["secret",7]}"#, "not for secret", "not for [redacted]");
        check_text(&["0"], "\"secret\"", "not for secret", "not for [redacted]");
        check_text(&["n"], r#"{"n":"a\"b\nc"}"#, r#"is "a\"b\nc""#, r#"is "[redacted]""#);
    }
}
