//! Keys: an ordered topic needs one, and one has a text.

mod common;

use common::{analyze, codes, text};

/// The codes of an app whose event has these fields, beside these types, on a topic that is made so.
fn found(fields: &str, types: &str, topic: &str) -> Vec<&'static str> {
    let analysis = analyze(&format!(
        "//- src/orders.rs
use bis::prelude::*;
bis::service!(\"orders\");
{types}
#[derive(Event, Serialize, Deserialize)]
pub struct Placed {{ {fields} }}
pub static PLACED: Topic<Placed> = {topic};
#[subscription(PLACED)]
async fn ship(event: Placed) -> Result<()> {{ PLACED.publish(&event).await }}
"
    ));
    codes(&analysis)
}

const PLAIN: &str = "Topic::new(\"placed\")";
const ORDERED: &str = "Topic::new(\"placed\").ordered()";

#[test]
fn an_ordered_topic_needs_a_key() {
    assert_eq!(found("pub id: u64", "", ORDERED), ["BIS0055"]);
    assert_eq!(found("pub id: u64", "", PLAIN), [""; 0]);
    assert_eq!(found("#[event(key)] pub id: u64", "", ORDERED), [""; 0]);
    let by_hand = "//- src/orders.rs
use bis::prelude::*;
bis::service!(\"orders\");
#[derive(Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
impl bis::Event for Placed {}
pub static PLACED: Topic<Placed> = Topic::new(\"placed\").ordered();
#[subscription(PLACED)]
async fn ship(event: Placed) -> Result<()> { PLACED.publish(&event).await }
";
    assert_eq!(text(&analyze(by_hand)), "");
}

#[test]
fn a_key_is_a_text_a_number_or_a_boolean() {
    let derive = "#[derive(Serialize, Deserialize)]";
    for (ty, types) in [
        ("Id", format!("{derive} pub struct Id {{ a: u64 }}")),
        ("Id", format!("{derive} pub struct Id(u64, u64);")),
        ("Option<Id>", format!("{derive} pub struct Id {{ a: u64 }}")),
        ("Outer", format!("{derive} pub struct Outer(Id); {derive} pub struct Id {{ a: u64 }}")),
        ("Vec<u8>", String::new()),
        ("(u8, u8)", String::new()),
        ("Kind", format!("{derive} pub enum Kind {{ A(u8), B {{ b: u8 }} }}")),
        ("std::collections::BTreeMap<String, u8>", String::new()),
    ] {
        for mark in ["key", "attribute"] {
            // The derive refuses what it can see to be a list by itself.
            let found = found(&format!("#[event({mark})] pub id: {ty}"), &types, PLAIN);
            assert!(found == ["BIS0056"] || found == ["BIS0018"], "{ty}: {found:?}");
        }
    }
    for (ty, types) in [
        ("uuid::Uuid", String::new()),
        ("Option<String>", String::new()),
        ("Box<i32>", String::new()),
        ("Id", format!("{derive} pub struct Id(u64);")),
        ("Id", format!("{derive} #[serde(into = \"String\")] pub struct Id {{ a: u64 }}")),
        ("Kind", format!("{derive} pub enum Kind {{ A, B }}")),
        ("Kind", format!("{derive} pub enum Kind {{ A, B(u8) }}")),
    ] {
        assert_eq!(found(&format!("#[event(key)] pub id: {ty}"), &types, ORDERED), [""; 0], "{ty} {types}");
    }
    assert_eq!(found("#[event(key)] pub id: money::Id", "", ORDERED), ["BIS0034"]);
}
