//! Types in every form that serde's attributes give them. The analyser reads this file as text.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plain {
    pub the_id: u64,
    pub small: i8,
    pub letter: char,
    pub ratio: f64,
    pub text: Option<String>,
    pub list: Vec<Option<bool>>,
    pub pair: (u8, String),
    pub fixed: [u16; 2],
    pub map: BTreeMap<String, u32>,
    pub set: BTreeSet<u8>,
    pub boxed: Box<Option<u8>>,
    pub unit: (),
    pub maybe: Maybe<u8>,
}
pub type Maybe<T> = Option<T>;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub count: u32,
    #[serde(default = "super::seven")]
    pub seven: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip)]
    pub hidden: u8,
    #[serde(skip_serializing)]
    pub password: String,
    #[serde(skip_deserializing)]
    pub made: u8,
    #[serde(rename(serialize = "out", deserialize = "in"))]
    pub sided: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all(serialize = "UPPERCASE", deserialize = "kebab-case"))]
pub struct Defaults {
    pub first_one: u32,
    pub second_one: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct New(pub u8);
#[derive(Clone, Serialize, Deserialize)]
pub struct Two(pub u8, pub String);
#[derive(Clone, Serialize, Deserialize)]
pub struct Nothing;
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transparent {
    pub inner: Vec<u8>,
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "u8")]
pub struct Proxy(pub u8);

#[derive(Clone, Serialize, Deserialize)]
pub struct Tree {
    pub children: Vec<Tree>,
    pub parent: Option<Box<Tree>>,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Box<Page<T>>>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    InStock,
    #[serde(rename = "gone")]
    SoldOut,
    #[serde(skip_deserializing)]
    OnlyWritten,
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum External {
    Unit,
    New(Two),
    Tuple(u8, bool),
    Fields { one_field: u8, other: Option<String> },
    Wrapped(Option<u8>),
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Internal {
    Unit,
    Fields { a: u8 },
    Content(Plainer),
    Closed(Closed),
    Map(BTreeMap<String, String>),
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum InternalClosed {
    Fields { a: u8 },
    Others { b: u8 },
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
pub enum Adjacent {
    Unit,
    New(String),
    Tuple(u8, u8),
    Fields { a: u8 },
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Untagged {
    Number(u8),
    Fields { a: bool },
    Text(String),
    Nothing,
}
#[derive(Clone, Serialize, Deserialize)]
pub enum WithOther {
    Known,
    #[serde(other)]
    Other,
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum TaggedOther {
    Known {
        a: u8,
    },
    #[serde(other)]
    Other,
}
#[derive(Clone, Serialize, Deserialize)]
pub enum PartlyUntagged {
    Known(u8),
    #[serde(untagged)]
    Any(String),
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Plainer {
    pub p: u8,
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    pub q: u8,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct Flat {
    pub own: u8,
    #[serde(flatten)]
    pub plainer: Plainer,
    #[serde(flatten)]
    pub others: BTreeMap<String, String>,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct FlatMap {
    pub own: u8,
    #[serde(flatten)]
    pub others: BTreeMap<String, bool>,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct FlatOption {
    pub own: u8,
    #[serde(flatten)]
    pub plainer: Option<Plainer>,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct FlatEnum {
    pub own: u8,
    #[serde(flatten)]
    pub external: Choice,
    #[serde(flatten)]
    pub internal: Internal2,
}
#[derive(Clone, Serialize, Deserialize)]
pub enum Choice {
    One(u8),
    Two { b: bool },
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Internal2 {
    A { x: u8 },
    B { y: u8 },
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type")]
pub struct TaggedStruct {
    pub a: u8,
}
#[derive(Clone, Serialize, Deserialize)]
pub struct Custom {
    #[serde(serialize_with = "super::as_text")]
    pub written: u8,
    #[serde(deserialize_with = "super::from_text")]
    pub read: u8,
}
