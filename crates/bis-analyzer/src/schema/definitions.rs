//! The named schemas of a document: which types have one, what they are called, and which of them differ by side.
//!
//! While schemas are built, a reference names its type by a key that no other type has. What the types are called is decided
//! when all of them are known, so that it does not depend on their order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// What begins the references that are not yet names.
const MARK: &str = "bis-type:";

/// Whether a schema is of what serde writes, or of what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// What it writes: answers.
    Written,
    /// What it reads: bodies and parameters.
    Read,
    /// What it reads where every value is text: paths, queries and forms.
    Text,
    /// What it writes and reads again: events.
    Both,
}

/// A type in a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label {
    /// Its path with its arguments, as no other type has it.
    pub(super) key: String,
    /// What it is called where no other type is called so.
    pub(super) short: String,
}

/// The schemas by type and side.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    bodies: BTreeMap<(String, Side), Definition>,
}

#[derive(Debug)]
struct Definition {
    short: String,
    body: Value,
}

/// The references of a document.
pub(super) struct Names {
    references: BTreeMap<(String, Side), String>,
}

/// A reference to a type.
pub(super) fn reference(key: &str, side: Side) -> Value {
    json!({ "$ref": format!("{MARK}{}{key}", letter(side)) })
}

fn letter(side: Side) -> char {
    match side {
        Side::Written => 'w',
        Side::Read => 'r',
        Side::Text => 't',
        Side::Both => 'b',
    }
}

/// The type that a schema refers to.
fn referred(reference: &Value) -> Option<(&str, Side)> {
    let text = reference.as_str()?.strip_prefix(MARK)?;
    let side = match text.chars().next()? {
        'w' => Side::Written,
        'r' => Side::Read,
        't' => Side::Text,
        _ => Side::Both,
    };
    Some((&text[1..], side))
}

impl Definitions {
    /// Takes the place of a type; `false` when it has one.
    pub(super) fn reserve(&mut self, label: &Label, side: Side) -> bool {
        let place = (label.key.clone(), side);
        if self.bodies.contains_key(&place) {
            return false;
        }
        self.bodies.insert(place, Definition { short: label.short.clone(), body: Value::Null });
        true
    }

    pub(super) fn set(&mut self, key: &str, side: Side, body: Value) {
        if let Some(definition) = self.bodies.get_mut(&(key.to_owned(), side)) {
            definition.body = body;
        }
    }

    /// The body of the type that a schema is a reference to.
    pub(super) fn target(&self, schema: &Value) -> Option<&Value> {
        let (key, side) = referred(schema.get("$ref")?)?;
        self.bodies.get(&(key.to_owned(), side)).map(|definition| &definition.body)
    }

    /// Keeps what these schemas refer to, at any depth.
    pub(super) fn keep<'v>(&mut self, roots: impl Iterator<Item = &'v Value>) {
        let mut kept = BTreeSet::new();
        let mut waiting = Vec::new();
        roots.for_each(|root| references(root, &mut waiting));
        while let Some(place) = waiting.pop() {
            if let Some(definition) = self.bodies.get(&place)
                && kept.insert(place)
            {
                references(&definition.body, &mut waiting);
            }
        }
        self.bodies.retain(|place, _| kept.contains(place));
    }

    /// The schemas by name, and the names; `prefix` begins references, `root` is the type of the whole document.
    pub(super) fn finish(mut self, prefix: &str, root: Option<&str>) -> (Map<String, Value>, Names) {
        let differing = self.differing();
        let names = self.names();
        let mut references = BTreeMap::new();
        let mut schemas = Map::new();
        for (key, side) in self.bodies.keys() {
            let Some(name) = names.get(key) else { continue };
            let name = match (side, differing.contains(&(key.clone(), *side))) {
                (Side::Text, true) => format!("{name}-Text"),
                (_, true) => format!("{name}-Input"),
                (_, false) => name.clone(),
            };
            references.insert((key.clone(), *side), format!("{prefix}{name}"));
        }
        if let Some(root) = root {
            references.insert((root.to_owned(), Side::Both), "#".to_owned());
        }
        let names = Names { references };
        for ((key, side), definition) in &mut self.bodies {
            if root == Some(key) {
                continue;
            }
            names.apply(&mut definition.body);
            let reference = names.references.get(&(key.clone(), *side));
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix(prefix)) {
                schemas.entry(name.to_owned()).or_insert_with(|| definition.body.take());
            }
        }
        (schemas, names)
    }

    /// The sides of types that are not like the first side of the same type.
    fn differing(&self) -> BTreeSet<(String, Side)> {
        let mut pairs: Vec<(&(String, Side), &Value, &Value)> = Vec::new();
        let mut first: Option<(&String, &Value)> = None;
        // One type's sides follow one another.
        for (place, definition) in &self.bodies {
            match first {
                Some((key, body)) if *key == place.0 => pairs.push((place, body, &definition.body)),
                _ => first = Some((&place.0, &definition.body)),
            }
        }
        let mut differing = BTreeSet::new();
        loop {
            let is_new = |(place, first, other): &&(&(String, Side), &Value, &Value)| {
                !differing.contains(*place) && !are_alike(first, other, &differing)
            };
            let found: Vec<(String, Side)> =
                pairs.iter().filter(is_new).map(|(place, ..)| (*place).clone()).collect();
            if found.is_empty() {
                return differing;
            }
            differing.extend(found);
        }
    }

    /// What the types are called: the short name where only one is called so, else the whole path.
    fn names(&self) -> BTreeMap<String, String> {
        let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ((key, _), definition) in &self.bodies {
            keys.entry(&definition.short).or_default().insert(key);
        }
        let mut names = BTreeMap::new();
        for (short, keys) in keys {
            let is_alone = keys.len() == 1;
            for key in keys {
                let name = if is_alone { short.to_owned() } else { component(key) };
                names.insert(key.to_owned(), name);
            }
        }
        names
    }
}

impl Names {
    /// Puts names in the place of keys.
    pub(super) fn apply(&self, schema: &mut Value) {
        match schema {
            Value::Object(object) => {
                for (key, value) in object.iter_mut() {
                    let place = (key == "$ref").then(|| referred(value)).flatten();
                    match place.map(|(key, side)| (key.to_owned(), side)) {
                        Some(place) => {
                            if let Some(reference) = self.references.get(&place) {
                                *value = json!(reference);
                            }
                        }
                        None => self.apply(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            _ => {}
        }
    }
}

/// Collects what a schema refers to.
fn references(schema: &Value, found: &mut Vec<(String, Side)>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match referred(value).filter(|_| key == "$ref") {
                    Some((key, side)) => found.push((key.to_owned(), side)),
                    None => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Whether two schemas are the same, and what they refer to as well.
fn are_alike(first: &Value, other: &Value, differing: &BTreeSet<(String, Side)>) -> bool {
    match (first, other) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| are_alike(value, other, differing)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_alike(a, b, differing))
        }
        (a, b) => match (referred(a), referred(b)) {
            (Some((first, first_side)), Some((other, other_side))) => {
                let is_first = |key: &str, side| !differing.contains(&(key.to_owned(), side));
                first == other && is_first(first, first_side) && is_first(other, other_side)
            }
            _ => a == b,
        },
    }
}

/// A text as the name of a component of OpenAPI: letters and digits of ASCII, `.`, `-` and `_`.
pub(super) fn component(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for letter in text.replace("::", ".").chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => name.push(letter),
            '<' | '>' | ',' | '-' | ' ' | '(' | ')' | '[' | ']' if name.ends_with('-') => {}
            '<' | '>' | ',' | '-' | ' ' | '(' | ')' | '[' | ']' => name.push('-'),
            other => name.push_str(&format!("_{:x}_", u32::from(other))),
        }
    }
    name.trim_end_matches('-').to_owned()
}
