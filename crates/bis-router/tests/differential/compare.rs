//! Facts of two servers side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::Value;

use crate::differences::DIFFERENCES;

/// What was seen of one server: a thing, a property, a value.
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<(String, String), String>);

impl Facts {
    pub fn put(&mut self, what: &str, property: &str, value: impl Display) {
        self.0.insert((what.to_owned(), property.to_owned()), value.to_string());
    }

    /// Takes these fields of a JSON object.
    pub fn add(&mut self, what: &str, object: &Value, fields: &[&str]) {
        for field in fields {
            self.put(what, field, &object[field]);
        }
    }

    pub fn get(&self, what: &str, property: &str) -> Option<&str> {
        self.0.get(&(what.to_owned(), property.to_owned())).map(String::as_str)
    }

    pub fn number(&self, what: &str, property: &str) -> u64 {
        self.get(what, property).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// The things that have this property.
    pub fn having(&self, property: &str) -> impl Iterator<Item = &str> {
        self.0.keys().filter(move |(_, name)| name == property).map(|(what, _)| what.as_str())
    }
}

/// Something that the servers do not agree on.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    pub what: &'a str,
    pub property: &'a str,
    pub nsqd: &'a Facts,
    pub router: &'a Facts,
}

impl<'a> Fact<'a> {
    pub fn at_nsqd(&self) -> &'a str {
        self.nsqd.get(self.what, self.property).unwrap_or("nothing")
    }

    pub fn at_router(&self) -> &'a str {
        self.router.get(self.what, self.property).unwrap_or("nothing")
    }
}

/// What the servers differ in, deliberate differences left out.
pub fn differences(nsqd: &Facts, router: &Facts) -> Vec<String> {
    let keys: BTreeSet<_> = nsqd.0.keys().chain(router.0.keys()).collect();
    keys.into_iter()
        .map(|(what, property)| Fact { what, property, nsqd, router })
        .filter(|fact| fact.at_nsqd() != fact.at_router())
        .filter(|fact| !DIFFERENCES.iter().any(|difference| (difference.is_it)(fact)))
        .map(|fact| {
            let Fact { what, property, .. } = fact;
            format!("{what} {property}:\n    nsqd:   {}\n    router: {}", fact.at_nsqd(), fact.at_router())
        })
        .collect()
}
