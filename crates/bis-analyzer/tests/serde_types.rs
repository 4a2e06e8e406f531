//! Schemas against what serde really writes and accepts, for all of its representations: every value that is written fits the
//! schema of an answer; every input, and each of many changes of it, fits the schema of a body exactly when serde accepts it.
//!
//! The validator is our own, since it needs only the keywords that the analyser writes and a library brings some forty crates.

#![expect(clippy::unwrap_used, reason = "what does not serialize fails its test")]

#[path = "serde_types/types.rs"]
mod types;
#[path = "serde_types/validator.rs"]
mod validator;

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bis_graph::Graph;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use types::*;

fn seven() -> u32 {
    7
}

fn as_text<S: serde::Serializer>(number: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&number.to_string())
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl From<Proxy> for String {
    fn from(proxy: Proxy) -> Self {
        proxy.0.to_string()
    }
}

impl From<u8> for Proxy {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

/// The graph of an app whose only endpoint takes and answers with a type of the file.
fn graph(ty: &str) -> Graph {
    let analysis = common::analyze(&format!(
        "//- src/orders.rs
use bis::prelude::*;
use types::*;
bis::service!(\"orders\");
pub mod types {{
{}
}}
#[api(POST, \"/\", public)]
async fn at(Json(taken): Json<{ty}>) -> Json<{ty}> {{ Json(taken) }}
",
        include_str!("serde_types/types.rs")
    ));
    let unexpected = analysis.diagnostics.iter().filter(|found| found.code != "BIS0034");
    assert_eq!(unexpected.count(), 0, "{}", common::text(&analysis));
    analysis.graph
}

/// An input, and changes of it: each field left out, each value of another type, and a field that nobody knows.
fn changed(input: &Value) -> Vec<Value> {
    let mut all = vec![input.clone()];
    let others = [
        json!(null),
        json!("snow"),
        json!(7),
        json!(-700),
        json!(true),
        json!([]),
        json!({}),
        json!([1, 2, 3]),
    ];
    all.extend(others);
    match input {
        Value::Object(object) => {
            let mut more = object.clone();
            more.insert("nobody-knows".to_owned(), json!(1));
            all.push(Value::Object(more));
            for (key, value) in object {
                let mut less = object.clone();
                less.remove(key);
                all.push(Value::Object(less));
                for value in changed(value) {
                    let mut other = object.clone();
                    other.insert(key.clone(), value);
                    all.push(Value::Object(other));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for item in changed(item) {
                    let mut other = items.clone();
                    other[index] = item;
                    all.push(Value::Array(other));
                }
            }
        }
        _ => {}
    }
    all
}

/// Checks a type with values of it, and with inputs that it accepts beside what it writes itself.
#[track_caller]
fn check<T: Serialize + DeserializeOwned>(ty: &str, values: &[T], inputs: &[Value]) {
    let graph = graph(ty);
    let document = serde_json::to_value(&graph).unwrap();
    let written = graph.endpoints[0].responses[0].schema.clone().unwrap();
    let read = graph.endpoints[0].body.clone().unwrap().schema.unwrap();
    let mut count = 0;
    for value in values {
        let json = serde_json::to_value(value).unwrap();
        assert!(
            validator::fits(&document, &written, &json),
            "{ty} writes {json}, against {written}\n{:#?}",
            graph.schemas
        );
    }
    let written = values.iter().map(|value| serde_json::to_value(value).unwrap());
    for input in inputs.iter().cloned().chain(written).flat_map(|input| changed(&input)) {
        let error = serde_json::from_value::<T>(input.clone()).err();
        let fits = validator::fits(&document, &read, &input);
        // Serde reads a struct from the list of its fields too, and a unit variant from an object; nobody documents that.
        let is_lenient = error.is_none() && !fits && !is_documented(&input);
        assert!(
            error.is_none() == fits || is_lenient,
            "{ty}: {input}\nserde says {error:?}, the schema {fits}\n{:#?}",
            graph.schemas
        );
        count += usize::from(error.is_none());
    }
    assert!(count >= inputs.len().max(1), "{ty} accepts too few inputs to tell");
    for input in inputs {
        assert!(serde_json::from_value::<T>(input.clone()).is_ok(), "{ty} does not accept {input}");
    }
}

/// Whether an input has no list, which serde takes for a struct as well.
fn is_documented(input: &Value) -> bool {
    match input {
        Value::Array(_) => false,
        Value::Object(object) => object.values().all(is_documented),
        _ => true,
    }
}

#[test]
fn structs() {
    let plain = Plain {
        the_id: 1,
        small: -1,
        letter: 'é',
        ratio: 0.5,
        text: None,
        list: vec![None, Some(true)],
        pair: (1, "one".to_owned()),
        fixed: [1, 2],
        map: BTreeMap::from([("a".to_owned(), 1)]),
        set: BTreeSet::from([1]),
        boxed: Box::new(None),
        unit: (),
        maybe: None,
    };
    let full =
        Plain { text: Some("text".to_owned()), boxed: Box::new(Some(1)), maybe: Some(2), ..plain.clone() };
    check("Plain", &[plain, full], &[]);
    let note = |note: Option<&str>| Options {
        kind: "kind".to_owned(),
        count: 1,
        seven: 7,
        note: note.map(str::to_owned),
        tags: note.iter().map(|note| (*note).to_owned()).collect(),
        hidden: 1,
        password: "secret".to_owned(),
        made: 1,
        sided: true,
    };
    let input = json!({ "type": "k", "count": 1, "seven": 1, "note": "n", "tags": ["t"], "password": "p", "in": true });
    let read: Options = serde_json::from_value(input.clone()).unwrap();
    assert_eq!((read.hidden, &*read.password), (0, "p"));
    check("Options", &[note(None), note(Some("note"))], &[input]);
    let input = json!({ "first-one": 1, "second-one": "two" });
    check("Defaults", &[Defaults { first_one: 1, second_one: "two".to_owned() }], &[input]);
    check("TaggedStruct", &[TaggedStruct { a: 1 }], &[json!({ "a": 1 })]);
}

#[test]
fn tuples_units_and_stand_ins() {
    check("New", &[New(1)], &[]);
    check("Two", &[Two(1, "one".to_owned())], &[]);
    check("Nothing", &[Nothing], &[]);
    check("Transparent", &[Transparent { inner: vec![1] }], &[]);
    check("Proxy", &[Proxy(1)], &[json!(1)]);
    check("Option<Proxy>", &[Some(Proxy(1)), None], &[json!(1), json!(null)]);
}

#[test]
fn recursive_and_generic_types() {
    let leaf = Tree { children: Vec::new(), parent: None };
    check("Tree", &[Tree { children: vec![leaf.clone()], parent: Some(Box::new(leaf)) }], &[]);
    let last = Page { items: vec![New(1)], next: None };
    check("Page<New>", &[Page { items: Vec::new(), next: Some(Box::new(last)) }], &[]);
    check("Page<Option<u8>>", &[Page { items: vec![Some(1), None], next: None }], &[]);
}

#[test]
fn enums() {
    check("Units", &[Units::InStock, Units::SoldOut, Units::OnlyWritten], &[json!("gone")]);
    let external = [
        External::Unit,
        External::New(Two(1, "one".to_owned())),
        External::Tuple(1, true),
        External::Fields { one_field: 1, other: None },
        External::Wrapped(None),
    ];
    check("External", &external, &[]);
    let internal = [
        Internal::Unit,
        Internal::Fields { a: 1 },
        Internal::Content(Plainer { p: 1 }),
        Internal::Closed(Closed { q: 1 }),
        Internal::Map(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
    ];
    check("Internal", &internal, &[]);
    check("InternalClosed", &[InternalClosed::Fields { a: 1 }, InternalClosed::Others { b: 1 }], &[]);
    let adjacent =
        [Adjacent::Unit, Adjacent::New("new".to_owned()), Adjacent::Tuple(1, 2), Adjacent::Fields { a: 1 }];
    check("Adjacent", &adjacent, &[]);
    let untagged = [
        Untagged::Number(1),
        Untagged::Fields { a: true },
        Untagged::Text("text".to_owned()),
        Untagged::Nothing,
    ];
    check("Untagged", &untagged, &[]);
    check("WithOther", &[WithOther::Known, WithOther::Other], &[json!("anything")]);
    let input = json!({ "kind": "anything", "a": "b" });
    check("TaggedOther", &[TaggedOther::Known { a: 1 }, TaggedOther::Other], &[input]);
    check("PartlyUntagged", &[PartlyUntagged::Known(1), PartlyUntagged::Any("any".to_owned())], &[]);
}

#[test]
fn flattened_types() {
    let others = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
    check("Flat", &[Flat { own: 1, plainer: Plainer { p: 1 }, others }], &[]);
    check("FlatMap", &[FlatMap { own: 1, others: BTreeMap::from([("x".to_owned(), true)]) }], &[]);
    let with = |plainer| FlatOption { own: 1, plainer };
    check("FlatOption", &[with(None), with(Some(Plainer { p: 1 }))], &[]);
    let one = FlatEnum { own: 1, external: Choice::One(1), internal: Internal2::A { x: 1 } };
    let two = FlatEnum { external: Choice::Two { b: true }, internal: Internal2::B { y: 1 }, ..one.clone() };
    check("FlatEnum", &[one, two], &[]);
}

#[test]
fn what_functions_write_stays_open() {
    let custom = Custom { written: 1, read: 2 };
    assert_eq!(serde_json::to_value(&custom).unwrap(), json!({ "written": "1", "read": 2 }));
    assert!(serde_json::from_value::<Custom>(json!({ "written": 1, "read": "2" })).is_ok());
    let graph = graph("Custom");
    let (written, read) =
        (&graph.schemas["Custom"]["properties"], &graph.schemas["Custom-Input"]["properties"]);
    assert_eq!(written["written"], json!({}));
    assert_eq!(written["read"]["type"], "integer");
    assert_eq!(read["written"]["type"], "integer");
    assert_eq!(read["read"], json!({}));
}
