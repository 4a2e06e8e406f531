//! What is said about wrong programs, whole texts, and about bad days: files that do not parse, manifests that do not
//! read, apps without services.

mod common;

use bis_core::BrokerKind;
use common::diagnostics;

const EVENT: &str = r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
"#;

/// A service module with this source, beside the event type `Placed`.
fn orders(source: &str) -> String {
    diagnostics(&format!("{EVENT}{source}"))
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    insta::assert_snapshot!(orders(
        r#"
pub static PLACED: Topic<Placed> = Topic::new("OrderPlaced").orderd();
pub static AGAIN: Topic<Placed> = Topic::new("again");
pub static TWICE: Topic<Placed> = Topic::new("again");

#[subscription(PLACED, name = "Ship It", timeout = "10 minutes", retries = 3)]
async fn ship(order: &Placed) -> Result<()> { Ok(()) }

#[subscription(AGAIN, retry(max = 0, min_backof = "1s"))]
fn note(order: Placed) {}

#[subscription(AGIN)]
async fn lost(order: Placed) -> Result<()> { Ok(()) }

#[subscription(AGAIN)]
async fn wrong(order: Delivery<String>) -> Result<()> { Ok(()) }

#[api(post, "orders/:id", everyone)]
async fn place() -> Result<()> { AGAIN.publish(&x).await }
"#
    ));
}

#[test]
fn a_wrong_handler_type_names_both_places() {
    insta::assert_snapshot!(orders(
        r#"
#[derive(Event, Serialize, Deserialize)]
pub struct Shipped { pub id: u64 }
pub static PLACED: Topic<Placed> = Topic::new("placed");

#[subscription(PLACED)]
async fn ship(order: Delivery<Shipped>) -> Result<()> { PLACED.publish(&x).await }
"#
    ));
}

#[test]
fn two_files_with_one_topic_name() {
    insta::assert_snapshot!(diagnostics(&format!(
        "{EVENT}
pub static PLACED: Topic<Placed> = Topic::new(\"placed\");
#[subscription(PLACED)]
async fn ship(order: Placed) -> Result<()> {{ PLACED.publish(&x).await }}
//- src/returns.rs
use bis::prelude::*;
bis::service!(\"returns\");
pub static RETURNED: Topic<crate::orders::Placed> = Topic::new(\"placed\");
"
    )));
}

#[test]
fn a_file_that_does_not_parse_leaves_the_rest() {
    let fixture = format!(
        "{EVENT}
pub static PLACED: Topic<Placed> = Topic::new(\"placed\");
#[subscription(crate::shipping::SHIPPED)]
async fn done(event: crate::shipping::Shipped) -> Result<()> {{ Ok(()) }}
//- src/shipping.rs
bis::service!(\"shipping\");
pub fn broken( {{
//- src/email.rs
use bis::prelude::*;
bis::service!(\"email\");
#[subscription(crate::orders::PLACED)]
async fn mail(event: crate::orders::Placed) -> Result<()> {{ Ok(()) }}
"
    );
    insta::assert_snapshot!(diagnostics(&fixture));
    let graph = common::analyze(&fixture).graph;
    assert_eq!(graph.services.len(), 2);
    assert_eq!(graph.subscriptions[0].handler, "shop::email::mail");
}

#[test]
fn a_manifest_that_does_not_read() {
    insta::assert_snapshot!(diagnostics("//- Cargo.toml\n[package]\nname = \"shop\nedition = \"2024\"\n"));
    insta::assert_snapshot!(diagnostics("//- Cargo.toml\n[dependencies]\nbis = \"0.1\"\n"));
}

#[test]
fn a_path_dependency_that_does_not_read_leaves_the_rest() {
    let fixture = "
//- Cargo.toml
[package]
name = \"shop\"
[dependencies]
bis = \"0.1\"
events = { path = \"events\" }
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
bis::service!(\"orders\");
//- events/Cargo.toml
[package
";
    insta::assert_snapshot!(diagnostics(fixture));
    assert_eq!(common::analyze(fixture).graph.services.len(), 1);
}

#[test]
fn a_workspace_above_that_does_not_read_is_reported() {
    let folder = common::folder(
        "
//- Cargo.toml
[workspace
//- app/Cargo.toml
[package]
name = \"shop\"
[dependencies]
bis.workspace = true
//- app/src/lib.rs
mod orders { bis::service!(\"orders\"); }
bis::app!(services: [orders]);
",
    );
    let analysis = bis_analyzer::analyze(&folder.path().join("app"), &bis_analyzer::Options::default());
    let found: Vec<_> =
        analysis.diagnostics.iter().map(|found| (found.code, found.position.clone())).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, &*found[0].1.as_ref().unwrap().file), ("BIS0002", "../Cargo.toml"));
    assert_eq!(analysis.graph.services.len(), 1);
}

#[test]
fn no_manifest_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let analysis = bis_analyzer::analyze(folder.path(), &bis_analyzer::Options::default());
    assert_eq!(analysis.diagnostics[0].code, "BIS0002");
    assert!(analysis.has_errors());
}

#[test]
fn an_app_without_a_service() {
    insta::assert_snapshot!(diagnostics("//- src/lib.rs\nbis::app!(services: []);\n"));
}

#[test]
fn a_topic_that_a_macro_makes() {
    insta::assert_snapshot!(orders(
        r#"
make_topic! { pub static PLACED: Topic<Placed> = "placed"; }
#[subscription(PLACED)]
async fn ship(order: Placed) -> Result<()> { PLACED.publish(&x).await }
"#
    ));
}

/// The codes of a service module beside the event type `Placed`.
fn codes(source: &str) -> Vec<&'static str> {
    common::codes(&common::analyze(&format!("{EVENT}{source}")))
}

#[test]
fn arguments_that_are_missing_are_reported_at_the_attribute() {
    let text = orders(
        "
pub static PLACED: Topic<Placed> = Topic::new(\"placed\");
#[subscription]
async fn first(order: Placed) -> Result<()> { PLACED.publish(&x).await }
#[subscription(PLACED)]
async fn second(order: Placed) -> Result<()> { Ok(()) }
#[api]
async fn third() -> Result<()> { Ok(()) }
",
    );
    assert!(text.contains("src/orders.rs:7:3"), "{text}");
    assert!(text.contains("src/orders.rs:11:3"), "{text}");
    assert_eq!(text.matches("error[").count(), 2, "{text}");
}

#[test]
fn settings_of_a_topic_must_be_constant() {
    let topic = |chain: &str| {
        let listener = "#[subscription(P)] async fn on(e: Placed) -> Result<()> { P.publish(&e).await }";
        codes(&format!(
            "const DAY: u64 = 24 * 60 * 60;\npub static P: Topic<Placed> = {chain};\n{listener}\n"
        ))
    };
    let kept = "Retention { max_age: Duration::from_secs(7 * DAY), ..Retention::DEFAULT }";
    assert_eq!(topic(&format!("Topic::new(\"p\").retention({kept})")), [""; 0]);
    assert_eq!(topic("Topic::new(\"p\").retention(KEPT)"), ["BIS0028"]);
    assert_eq!(topic("make_topic()"), ["BIS0028"]);
    assert_eq!(topic("Topic::new(concat!(\"p\", \"-\", 2))"), [""; 0]);
}

#[test]
fn references_that_escape_are_errors_and_local_ones_are_not() {
    let with = |source: &str| {
        codes(&format!(
            "pub static P: Topic<Placed> = Topic::new(\"p\");
#[subscription(P)] async fn on(e: Placed) -> Result<()> {{ P.publish(&e).await }}
{source}\n"
        ))
    };
    for escapes in [
        "fn f() -> &'static Topic<Placed> { return &P; }",
        "fn f(b: bool) -> Option<&'static Topic<Placed>> { if b { Some(&P) } else { None } }",
        "fn f() { let holder = Holder { topic: &P }; }",
        "static OTHER: &Topic<Placed> = &P;",
        "fn f(holder: &mut Holder) { holder.topic = &P; }",
    ] {
        assert_eq!(with(escapes), ["BIS0031"], "{escapes}");
    }
    for stays in
        ["fn f() { let topic = &P; }", "fn f() { send(&P) }", "fn f() { for t in [&P] { t.name(); } }"]
    {
        assert_eq!(with(stays), [""; 0], "{stays}");
    }
}

/// One service with everything that nsqd cannot do.
const DEMANDING: &str = r#"
//- src/orders.rs
use std::time::Duration;
use bis::{Retention, prelude::*};

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct Placed {
    #[event(key)]
    pub id: u64,
}

const DAY: u64 = 24 * 60 * 60;

pub static PLACED: Topic<Placed> = Topic::new("placed").ordered();
pub static REMINDED: Topic<Placed> =
    Topic::new("reminded").retention(Retention { max_age: Duration::from_secs(30 * DAY), ..Retention::DEFAULT });

#[api(POST, "/orders", public)]
async fn place() -> Result<()> {
    let event = Placed { id: 1 };
    PLACED.publish(&event).await?;
    PLACED.publish(&event).key("b").delay(Duration::from_secs(3600)).await?;
    (REMINDED.publish(&event)).attribute("a", "b").delay(Duration::from_secs(40 * DAY)).await?;
    REMINDED.publish(&event).delay(waits()).await?;
    Ok(())
}

#[subscription(PLACED, timeout = "20m", retry(min_backoff = "2h", max_backoff = "1d"))]
async fn ship(event: Placed) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn count(event: Placed) -> Result<()> {
    Ok(())
}

#[subscription(REMINDED)]
async fn remind(event: Placed) -> Result<()> {
    Ok(())
}
"#;

#[test]
fn what_nsqd_cannot_do() {
    insta::assert_snapshot!(common::text(&common::analyze_for(DEMANDING, Some(BrokerKind::Nsqd))));
}

#[test]
fn what_the_router_cannot_do() {
    insta::assert_snapshot!(common::text(&common::analyze_for(DEMANDING, Some(BrokerKind::Router))));
}

#[test]
fn without_a_broker_nothing_is_said_about_brokers() {
    assert_eq!(common::diagnostics(DEMANDING), "");
}

#[test]
fn a_listed_module_without_a_service_is_one_mistake() {
    let fixture = r#"
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
mod below;
#[api(GET, "/orders", public)]
async fn list() -> Result<()> { Ok(()) }
//- src/orders/below.rs
use bis::prelude::*;
#[api(GET, "/below", public)]
async fn list() -> Result<()> { Ok(()) }
"#;
    assert_eq!(common::codes(&common::analyze(fixture)), ["BIS0007"]);
}
