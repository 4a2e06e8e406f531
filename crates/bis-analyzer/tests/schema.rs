//! Event types with serde's attributes to JSON Schema.

mod common;

use serde_json::{Value, json};

/// The schema of the event type `E` among these types.
#[track_caller]
fn schema(types: &str) -> Value {
    let fixture = format!(
        "//- src/orders.rs
use bis::prelude::*;
use std::collections::{{BTreeMap, HashSet}};
bis::service!(\"orders\");
{types}
pub static PLACED: Topic<E> = Topic::new(\"placed\");
#[subscription(PLACED)]
async fn on(event: E) -> Result<()> {{ PLACED.publish(&event).await }}
"
    );
    let analysis = common::analyze(&fixture);
    assert!(analysis.diagnostics.is_empty(), "{}", common::diagnostics(&fixture));
    analysis.graph.events[0].schema.clone()
}

#[test]
fn fields_of_known_types() {
    let schema = schema(
        r#"
use uuid::Uuid as Id;
#[derive(Event, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct E {
    pub order_id: Id,
    pub placed_at: jiff::Timestamp,
    #[serde(rename = "sum")]
    pub total: rust_decimal::Decimal,
    pub note: Option<String>,
    #[serde(default)]
    pub tags: HashSet<String>,
    pub counts: BTreeMap<String, u8>,
    #[serde(skip)]
    pub secret: foreign::Thing,
    pub pair: (i64, bool),
    pub boxed: Box<[f64; 2]>,
    pub any: serde_json::Value,
}"#,
    );
    let properties = &schema["properties"];
    assert_eq!(properties["orderId"], json!({ "type": "string", "format": "uuid" }));
    assert_eq!(properties["placedAt"]["format"], "date-time");
    assert_eq!(properties["sum"]["type"], "string");
    assert_eq!(properties["note"], json!({ "type": ["string", "null"] }));
    assert_eq!(properties["tags"]["uniqueItems"], true);
    assert_eq!(properties["counts"]["additionalProperties"]["maximum"], 255);
    assert_eq!(properties["pair"]["prefixItems"][1], json!({ "type": "boolean" }));
    assert_eq!(properties["boxed"]["items"], json!({ "type": "number" }));
    assert_eq!(properties.get("secret"), None);
    assert_eq!(schema["required"], json!(["orderId", "placedAt", "sum", "counts", "pair", "boxed", "any"]));
}

#[test]
fn nested_recursive_generic_and_flattened_types() {
    let schema = schema(
        r#"
#[derive(Serialize, Deserialize)] pub struct Cents(i64);
#[derive(Serialize, Deserialize)] pub struct Page<T> { items: Vec<T>, next: Option<Box<Node>> }
#[derive(Serialize, Deserialize)] pub struct Node { children: Vec<Node>, root: Option<Box<E>> }
#[derive(Serialize, Deserialize)] pub struct Meta { region: String }
#[derive(Event, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct E { total: Cents, page: Page<Cents>, #[serde(flatten)] meta: Meta }
"#,
    );
    assert_eq!(schema["properties"]["total"], json!({ "$ref": "#/$defs/Cents" }));
    assert_eq!(schema["$defs"]["Cents"], json!({ "type": "integer" }));
    assert_eq!(schema["properties"]["page"], json!({ "$ref": "#/$defs/Page-Cents" }));
    let page = &schema["$defs"]["Page-Cents"];
    assert_eq!(page["properties"]["items"]["items"], json!({ "$ref": "#/$defs/Cents" }));
    let node = &schema["$defs"]["Node"]["properties"];
    assert_eq!(node["children"]["items"], json!({ "$ref": "#/$defs/Node" }));
    assert_eq!(node["root"], json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] }));
    assert_eq!(schema["allOf"], json!([{ "$ref": "#/$defs/Meta" }]));
}

#[test]
fn enums_in_each_of_serdes_representations() {
    let schema = schema(
        r#"
#[derive(Serialize, Deserialize)] #[serde(rename_all = "kebab-case")] pub enum Plain { InStock, SoldOut }
#[derive(Serialize, Deserialize)] pub enum External { Unit, One(u8), Two { a: bool } }
#[derive(Serialize, Deserialize)] #[serde(tag = "kind")] pub enum Internal { Empty, Full { a: bool } }
#[derive(Serialize, Deserialize)] #[serde(tag = "t", content = "c")] pub enum Adjacent { Empty, Full(String) }
#[derive(Serialize, Deserialize)] #[serde(untagged)] pub enum Untagged { Text(String), Flag(bool) }
#[derive(Event, Serialize, Deserialize)]
pub struct E { a: Plain, b: External, c: Internal, d: Adjacent, e: Untagged }
"#,
    );
    let of = |name: &str| schema["$defs"][name].clone();
    assert_eq!(of("Plain"), json!({ "type": "string", "enum": ["in-stock", "sold-out"] }));
    assert_eq!(of("External")["oneOf"][0], json!({ "type": "string", "enum": ["Unit"] }));
    assert_eq!(of("External")["oneOf"][1]["properties"]["One"]["maximum"], 255);
    assert_eq!(of("External")["oneOf"][2]["properties"]["Two"]["required"], json!(["a"]));
    assert_eq!(of("Internal")["oneOf"][1]["required"], json!(["kind", "a"]));
    assert_eq!(of("Internal")["oneOf"][0]["properties"]["kind"], json!({ "const": "Empty" }));
    assert_eq!(of("Adjacent")["oneOf"][1]["properties"]["c"], json!({ "type": "string" }));
    assert_eq!(of("Untagged"), json!({ "anyOf": [{ "type": "string" }, { "type": "boolean" }] }));
}

/// What is sensitive in the event type `E` among these types.
#[track_caller]
fn check_sensitive(types: &str, expected: &[&str]) {
    let fixture = format!(
        "//- src/orders.rs
use bis::prelude::*;
use std::collections::BTreeMap;
bis::service!(\"orders\");
#[derive(Event, Serialize, Deserialize)] #[serde(rename_all = \"camelCase\")]
pub struct Contact {{ #[event(sensitive)] home_email: String }}
#[derive(Event, Serialize, Deserialize)] pub struct Email(#[event(sensitive)] String);
#[derive(Serialize, Deserialize)] pub struct Plain {{ contact: Contact }}
{types}
pub static PLACED: Topic<E> = Topic::new(\"placed\");
#[subscription(PLACED)]
async fn on(event: E) -> Result<()> {{ PLACED.publish(&event).await }}
"
    );
    let analysis = common::analyze(&fixture);
    let event = analysis.graph.events.iter().find(|event| event.name == "E").expect("an event");
    assert_eq!(event.sensitive, expected, "{types}");
}

#[test]
fn what_is_sensitive_is_found_at_every_depth() {
    let derive = "#[derive(Event, Serialize, Deserialize)]";
    let check = |item: &str, expected: &[&str]| check_sensitive(&format!("{derive} {item}"), expected);
    check("pub struct E { id: u64 }", &[]);
    check("pub struct E { contact: Contact }", &["homeEmail"]);
    check("pub struct E { many: BTreeMap<String, Option<Vec<Contact>>> }", &["homeEmail"]);
    check("pub struct E { #[serde(flatten)] contact: Contact }", &["homeEmail"]);
    check("pub struct E { pair: (u8, Contact), next: Option<Box<E>> }", &["homeEmail"]);
    check("pub struct E { plain: Plain }", &["homeEmail"]);
    check("#[serde(rename_all = \"camelCase\")] pub struct E { my_email: Email }", &["myEmail"]);
    check("pub struct E { #[serde(flatten)] email: Email }", &["0"]);
    check("pub struct E(Email);", &["0"]);
    check("pub struct E(#[event(sensitive)] String, u64);", &["0"]);
    check(
        "pub struct E { #[event(sensitive)] #[serde(rename = \"a\", alias = \"b\")] c: String }",
        &["a", "b"],
    );
    check(
        "#[serde(tag = \"kind\", rename_all_fields = \"camelCase\")] pub enum E {
            One { #[event(sensitive)] one_name: String },
            #[serde(rename_all = \"UPPERCASE\")] Two { #[event(sensitive)] two_name: String },
            Three(Contact),
        }",
        &["TWO_NAME", "homeEmail", "oneName"],
    );
    check("pub enum E { One(#[event(sensitive)] Contact) }", &["0", "homeEmail"]);
    check("pub enum E { One { by: Email } }", &["by"]);
    check("pub struct E { #[cfg_attr(all(), event(sensitive))] name: String }", &["name"]);
    check("pub struct E { #[cfg(any())] #[event(sensitive)] name: String }", &[]);
    check("#[serde(into = \"Plain\", from = \"Plain\")] pub struct E { id: u64 }", &["homeEmail"]);
    check(
        "#[serde(into = \"String\", from = \"String\")] pub struct E { #[event(sensitive)] name: String }",
        &["0", "name"],
    );
}
