//! Warnings that the source or `bis.toml` lets pass, and what is told once.

mod common;

use common::{analyze, codes, text};

/// Two events with a field of a type with handwritten serde traits.
const OPAQUE: &str = r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
pub struct Amount(i64);
impl Serialize for Amount {}
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub sum: Amount, pub tip: Option<Amount> }
#[derive(Event, Serialize, Deserialize)]
pub struct Paid { pub sum: Amount }
pub static PLACED: Topic<Placed> = Topic::new("placed");
pub static PAID: Topic<Paid> = Topic::new("paid");
#[subscription(PLACED)]
async fn pay(event: Placed) -> Result<()> { PAID.publish(&event).await }
#[subscription(PAID)]
async fn ship(event: Paid) -> Result<()> { PLACED.publish(&event).await }
"#;

#[test]
fn a_type_is_told_once_with_its_uses() {
    let analysis = analyze(OPAQUE);
    assert_eq!(codes(&analysis), ["BIS0034"]);
    let first = &analysis.diagnostics[0];
    assert_eq!(first.position.as_ref().map(|place| place.line), Some(6));
    assert_eq!(first.labels.len(), 1, "{}", text(&analysis));
}

#[test]
fn a_type_that_a_macro_of_the_workspace_makes_is_seen() {
    let made = "macro_rules! id { ($n:ident) => { #[derive(Serialize, Deserialize)] pub struct $n(pub u64); }; }\nid!(Amount);";
    let fixture = OPAQUE.replace("pub struct Amount(i64);\nimpl Serialize for Amount {}", made);
    let analysis = analyze(&fixture);
    assert_eq!(text(&analysis), "");
    let schema = &analysis.graph.event("shop::orders::Paid").map(|event| &event.schema);
    assert!(schema.is_some_and(|schema| schema["$defs"]["Amount"]["type"] == "integer"), "{schema:?}");
}

#[test]
fn an_attribute_holds_for_the_item_under_it() {
    let allow = |item: &str| OPAQUE.replace(item, &format!("#[bis::allow(BIS0034, BIS0025)]\n{item}"));
    let event = |name: &str| format!("#[derive(Event, Serialize, Deserialize)]\npub struct {name}");
    let one = analyze(&allow(&event("Placed")));
    assert_eq!(codes(&one), ["BIS0034"]);
    assert_eq!(one.diagnostics[0].position.as_ref().map(|place| place.line), Some(9));
    let both =
        allow(&event("Placed")).replace(&event("Paid"), &format!("#[bis::allow(BIS0034)] {}", event("Paid")));
    assert_eq!(text(&analyze(&both)), "");
    let module =
        OPAQUE.replace("pub struct Amount", "#[bis::allow(BIS0034)]\nmod inner {}\npub struct Amount");
    assert_eq!(codes(&analyze(&module)), ["BIS0034"]);
}

#[test]
fn bis_toml_holds_for_the_whole_app() {
    let allowed = analyze(&format!("{OPAQUE}//- bis.toml\n[check]\nallow = [\"BIS0034\"]\n"));
    assert_eq!(text(&allowed), "");
    assert!(allowed.files.iter().any(|file| file.ends_with("bis.toml")));
    assert_eq!(
        codes(&analyze(&format!("{OPAQUE}//- bis.toml\n[check]\nallow = [\"BIS0025\"]\n"))),
        ["BIS0034"]
    );
    let member = format!(
        "//- Cargo.toml\n[workspace]\nmembers = [\"app\"]\n//- bis.toml\n[check]\nallow = [\"BIS0034\"]\n//- app/Cargo.toml\n[package]\nname = \"shop\"\n[dependencies]\nbis = \"0.1\"\n//- app/src/lib.rs\npub mod orders;\nbis::app!(services: [orders]);\n{}",
        OPAQUE.replace("src/orders.rs", "app/src/orders.rs")
    );
    assert_eq!(text(&analyze(&member)), "");
}

#[test]
fn an_error_stays_and_what_allows_nothing_is_told() {
    let wrong = "//- src/orders.rs\n#[bis::allow(BIS0033)]\n#[bis::api(GET, \"/\", public)]\nasync fn f() -> bis::Result<()> { Ok(()) }\n//- src/lib.rs\nmod orders;\nmod o { bis::service!(\"o\"); }\nbis::app!(services: [o]);\n";
    assert_eq!(codes(&analyze(wrong)), ["BIS0033"]);
    let unknown = OPAQUE.replace("pub struct Amount", "#[bis::allow(BIS9934)]\npub struct Amount");
    assert_eq!(codes(&analyze(&unknown)), ["BIS0057", "BIS0034"]);
    for file in ["[check\n", "[check]\nallow = 1\n", "[check]\nallow = [\"dead_code\"]\n"] {
        let analysis = analyze(&format!("{OPAQUE}//- bis.toml\n{file}"));
        assert!(
            codes(&analysis).contains(&"BIS0057") && !analysis.has_errors(),
            "{file}: {}",
            text(&analysis)
        );
    }
}

#[test]
fn the_list_of_services_is_proposed_as_rust_wants_it() {
    let help = |fixture: &str| {
        let analysis = analyze(fixture);
        assert_eq!(codes(&analysis), ["BIS0008"], "{}", text(&analysis));
        analysis.diagnostics[0].help.clone().unwrap_or_default()
    };
    assert_eq!(
        help(
            "//- src/lib.rs\npub mod r#type { bis::service!(\"type\"); }\npub mod deep { pub mod r#try { bis::service!(\"try\"); } }\nbis::app!(services: [r#type]);\n"
        ),
        "write `bis::app!(services: [r#type, deep::r#try])`"
    );
    assert_eq!(
        help(
            "//- src/lib.rs\nmod orders { bis::service!(\"orders\"); }\nmod start { pub mod own { bis::service!(\"own\"); } bis::app!(services: [crate::orders, own]); }\nmod late { bis::service!(\"late\"); }\n"
        ),
        "write `bis::app!(services: [crate::orders, own, crate::late])`"
    );
    assert_eq!(
        help(
            "//- Cargo.toml\n[package]\nname = \"shop\"\nedition = \"2024\"\n[dependencies]\nbis = \"0.1\"\nbilling = { path = \"billing\" }\n//- src/lib.rs\nmod orders { bis::service!(\"orders\"); }\nbis::app!(services: [self::orders]);\n//- billing/Cargo.toml\n[package]\nname = \"billing\"\n[dependencies]\nbis = \"0.1\"\n//- billing/src/lib.rs\nbis::service!(\"billing\");\n"
        ),
        "write `bis::app!(services: [self::orders, billing])`"
    );
}
