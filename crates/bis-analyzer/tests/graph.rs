//! From source to edges.

mod common;

use bis_graph::ResourceKind;
use common::{analyze, check};

#[test]
fn an_app_with_two_services() {
    check(
        r#"
//- src/lib.rs
pub mod orders;
pub mod shipping;
bis::app!(services: [orders, shipping]);
//- src/main.rs
fn main() -> std::process::ExitCode { shop::app().main() }
//- src/orders.rs
use bis::prelude::*;
use uuid::Uuid;
bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: Uuid,
}
pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed").ordered();

#[api(POST, "/orders", public)]
async fn place(Json(request): Json<PlaceOrder>) -> Result<Json<OrderId>> {
    PLACED.publish(&OrderPlaced { order_id: Uuid::new_v4() }).await?;
    Ok(Json(OrderId))
}
#[mount("/files")]
fn files() -> axum::Router { axum::Router::new() }
//- src/shipping.rs
use bis::prelude::*;
use crate::orders::{self, OrderPlaced};
bis::service!("shipping");
#[subscription(orders::PLACED, name = "ship", retry(max = 5, min_backoff = "1s", max_backoff = "5m"))]
async fn ship(order: OrderPlaced) -> Result<()> { Ok(()) }
#[subscription(orders::PLACED)]
async fn count_all(orders: Vec<Delivery<OrderPlaced>>) -> Result<()> { Ok(()) }
"#,
        "
service orders = shop::orders
service shipping = shop::shipping
topic order-placed : shop::orders::OrderPlaced ordered <- [orders]
subscription order-placed/count-all -> shipping (shop::shipping::count_all : shop::orders::OrderPlaced)
subscription order-placed/ship -> shipping (shop::shipping::ship : shop::orders::OrderPlaced)
endpoint POST /orders -> orders (shop::orders::place)
mount /files -> orders (shop::orders::files)
",
    );
}

/// The part of a fixture that most tests below share: a topic and who listens.
const LISTENER: &str = r#"
//- src/listener.rs
use bis::prelude::*;
use crate::orders::{Placed, PLACED};
bis::service!("listener");
#[subscription(PLACED)]
async fn note(event: Placed) -> Result<()> { Ok(()) }
"#;

const ORDERS: &str = r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
pub static PLACED: Topic<Placed> = Topic::new("placed");
"#;

/// Checks who publishes to the topic `placed` when the module `publisher` has this source.
#[track_caller]
fn publishes(source: &str) {
    let fixture = format!("{ORDERS}{LISTENER}//- src/publisher.rs\nbis::service!(\"publisher\");\n{source}");
    let edges = common::edges(&fixture);
    assert!(edges.contains("topic placed : shop::orders::Placed <- [publisher]"), "{edges}");
}

#[test]
fn an_alias_a_glob_and_a_re_export_lead_to_the_topic() {
    publishes("use crate::orders::PLACED as OUT; async fn f() { OUT.publish(&x).await; }");
    publishes("use crate::orders::PLACED as out; async fn f() { out.publish(&x).await; }");
    publishes("use crate::orders::*; async fn f() { PLACED.publish(&x).await; }");
    publishes("use crate::orders as o; async fn f() { o::PLACED.publish(&x).await; }");
    publishes(
        "mod inner { pub use crate::orders::PLACED as SENT; } async fn f() { inner::SENT.publish(&x).await; }",
    );
    publishes("async fn f() { use crate::orders::{self as o, PLACED as P}; P.publish(&x).await; }");
    publishes("async fn f() { super::orders::PLACED.publish_in(&mut tx, &x).await; }");
    publishes("mod deep { pub async fn f() { super::super::orders::PLACED.publish_all(&x).await; } }");
}

#[test]
fn a_service_that_listens_is_neither_publisher_nor_subscriber() {
    let live = "//- src/live.rs\nbis::service!(\"live\");\nasync fn f() { crate::orders::PLACED.listen().buffer(8).await; }";
    let fixture = format!("{ORDERS}{live}");
    let analysis = common::analyze(&fixture);
    let topic = analysis.graph.topics.iter().find(|topic| topic.name == "placed").unwrap();
    assert_eq!(
        (&topic.listeners[..], &topic.users[..]),
        (&["live".to_owned()][..], &["live".to_owned()][..])
    );
    assert!(topic.publishers.is_empty() && analysis.graph.subscriptions.is_empty());
    // It is heard, and nobody publishes.
    assert_eq!(common::codes(&analysis), ["BIS0026"]);
    let nowhere = fixture.replace("PLACED.listen", "PLACD.listen");
    assert!(common::codes(&common::analyze(&nowhere)).contains(&"BIS0030"), "{nowhere}");
}

#[test]
fn a_use_in_a_macro_a_closure_or_a_method_counts() {
    publishes("async fn f() { tokio::join!(crate::orders::PLACED.publish(&x), other()); }");
    publishes(
        "async fn f() { tokio::select! { r = crate::orders::PLACED.publish(&x) => r, _ = other() => () } }",
    );
    publishes(
        "async fn f() { let g = || async move { vec![1].iter().map(|_| crate::orders::PLACED.publish(&x)) }; }",
    );
    publishes("struct S; impl S { async fn f(&self) { crate::orders::PLACED.publish(&x).await; } }");
    publishes("async fn f() { send(&crate::orders::PLACED, x).await; }");
    publishes("async fn f() { let topic = &crate::orders::PLACED; topic.publish(&x).await; }");
}

#[test]
fn a_macro_of_the_app_publishes_where_it_is_called() {
    let fixture = format!(
        "{ORDERS}{LISTENER}//- src/publisher.rs
bis::service!(\"publisher\");
async fn f() {{ crate::announce!(x); }}
//- src/lib.rs
#[macro_export]
macro_rules! announce {{ ($event:expr) => {{ $crate::orders::PLACED.publish(&$event) }}; }}
pub mod orders;
pub mod listener;
pub mod publisher;
bis::app!(services: [orders, listener, publisher]);
"
    );
    assert!(common::edges(&fixture).contains("<- [publisher]"), "{}", common::edges(&fixture));
}

#[test]
fn tests_and_features_that_are_off_are_left_out() {
    let source = "
#[cfg(test)] mod tests { fn f() { crate::orders::PLACED.publish(&x); } }
#[cfg(feature = \"off\")] async fn off() { crate::orders::PLACED.publish(&x).await; }
#[cfg(not(feature = \"off\"))] pub mod on { pub async fn f() {} }
";
    let fixture = format!("{ORDERS}{LISTENER}//- src/publisher.rs\nbis::service!(\"publisher\");\n{source}");
    let edges = common::edges(&fixture);
    assert!(edges.contains("topic placed : shop::orders::Placed <- []"), "{edges}");
}

#[test]
fn a_default_feature_is_on() {
    check(
        r#"
//- Cargo.toml
[package]
name = "shop"
[features]
default = ["extra"]
extra = []
other = []
[dependencies]
bis = "0.1"
//- src/lib.rs
#[cfg(feature = "extra")]
pub mod orders;
#[cfg(all(feature = "other", unix))]
pub mod missing;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[cfg_attr(feature = "extra", api(GET, "/a", private))]
async fn a() -> Result<()> { Ok(()) }
"#,
        "
service orders = shop::orders
endpoint GET /a -> orders (shop::orders::a)
",
    );
}

#[test]
fn modules_by_path_attribute_mod_rs_and_inline() {
    check(
        r#"
//- src/lib.rs
#[path = "odd/place.rs"]
pub mod orders;
pub mod outer {
    pub mod inner;
}
pub mod nested;
bis::app!(services: [orders, outer::inner, nested::deep]);
//- src/odd/place.rs
bis::service!("orders");
pub mod below;
//- src/odd/below.rs
use bis::prelude::*;
#[api(GET, "/below", public)]
async fn below() -> Result<()> { Ok(()) }
//- src/outer/inner.rs
bis::service!("inner");
//- src/nested/mod.rs
pub mod deep;
//- src/nested/deep.rs
bis::service!("deep");
"#,
        "
service deep = shop::nested::deep
service inner = shop::outer::inner
service orders = shop::orders
endpoint GET /below -> orders (shop::orders::below::below)
",
    );
}

#[test]
fn a_workspace_with_renamed_dependencies_and_a_service_crate() {
    check(
        r#"
//- Cargo.toml
[workspace]
members = ["crates/*"]
[workspace.dependencies]
bis = "0.1"
shop-events = { path = "crates/events" }
//- crates/app/Cargo.toml
[package]
name = "shop-app"
[dependencies]
bus = { package = "bis", version = "0.1" }
billing = { path = "../billing" }
shop-events.workspace = true
//- crates/app/src/lib.rs
pub mod orders;
bus::app!(services: [orders, billing]);
//- crates/app/src/orders.rs
use bus::prelude::*;
bus::service!("orders");
#[bus::api(POST, "/orders", public)]
async fn place() -> Result<()> { shop_events::PLACED.publish(&x).await }
//- crates/billing/Cargo.toml
[package]
name = "billing"
[dependencies]
bis.workspace = true
events = { package = "shop-events", path = "../events" }
//- crates/billing/src/lib.rs
bis::service!("billing");
mod invoices;
//- crates/billing/src/invoices.rs
use bis::subscription as on;
use events::prelude::*;
#[on(events::PLACED, name = "invoice")]
async fn invoice(event: Vec<OrderPlaced>) -> bis::Result<()> { Ok(()) }
//- crates/events/Cargo.toml
[package]
name = "shop-events"
[dependencies]
bis = { workspace = true }
//- crates/events/src/lib.rs
mod order;
pub use order::PLACED;
pub mod prelude { pub use crate::order::*; }
//- crates/events/src/order.rs
use bis::{Event, Topic};
#[derive(Event, serde::Serialize, serde::Deserialize)]
pub struct OrderPlaced { pub id: u64 }
type Orders = Topic<OrderPlaced>;
const NAME: &str = concat!("order", "-placed");
pub static PLACED: Orders = Topic::new(NAME);
//- crates/unrelated/Cargo.toml
[package]
name = "unrelated"
//- crates/unrelated/src/lib.rs
this does not parse
"#,
        "
service billing = billing
service orders = shop_app::orders
topic order-placed : shop_events::order::OrderPlaced <- [orders]
subscription order-placed/invoice -> billing (billing::invoices::invoice : shop_events::order::OrderPlaced)
endpoint POST /orders -> orders (shop_app::orders::place)
",
    );
}

#[test]
fn a_binary_without_a_library_is_an_app() {
    check(
        r#"
//- Cargo.toml
[package]
name = "hello-bis"
[dependencies]
bis = "0.1"
//- src/main.rs
mod hello { bis::service!("hello"); }
bis::app!(services: [hello]);
fn main() -> std::process::ExitCode { app().main() }
"#,
        "service hello = hello_bis::hello",
    );
}

#[test]
fn what_is_harmless_raises_nothing() {
    let source = r#"
use crate::orders::PLACED;
pub use crate::orders::PLACED as EXPORTED;
struct Client;
impl Client { const NAME: &'static str = "x"; fn publish(&self) {} }
static CLIENT: Client = Client;
static CACHE: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| 1);
lazy_static::lazy_static! { static ref LAZY: Client = Client; }
#[tracing::instrument]
async fn f(publisher: &Client) {
    CLIENT.publish();
    LAZY.publish();
    publisher.publish();
    money::BUS.publish();
    Client::NAME.publish();
    PLACED.publish(&x).await;
}
fn unused_generic<const N: usize>() -> usize { N }
"#;
    let fixture = format!("{ORDERS}{LISTENER}//- src/publisher.rs\nbis::service!(\"publisher\");\n{source}");
    assert_eq!(common::diagnostics(&fixture), "");
}

#[test]
fn uses_are_by_resource_and_method() {
    let analysis = analyze(&format!(
        r#"{}
//- src/refunds.rs
use bis::prelude::*;
use crate::orders::{{PLACED, Placed}};
bis::service!("refunds");
#[api(POST, "/refunds", public)]
async fn refund() -> Result<()> {{
    PLACED.publish(&Placed {{ id: 1 }}).await?;
    PLACED.publish(&Placed {{ id: 2 }}).await?;
    PLACED.subscribers();
    hand_over(&PLACED);
    Ok(())
}}
//- src/audit.rs
use bis::prelude::*;
bis::service!("audit");
#[api(GET, "/audit", public)]
async fn audit() -> Result<()> {{ crate::orders::PLACED.subscribers(); Ok(()) }}
"#,
        common::ORDERS
    ));
    let uses = analysis.graph.uses_of(ResourceKind::Topic, "placed");
    let uses: Vec<String> = uses
        .map(|one| format!("{} {} {}", one.service, one.method.as_deref().unwrap_or("-"), one.position))
        .collect();
    assert_eq!(
        uses,
        [
            "audit subscribers src/audit.rs:4:34",
            "orders publish src/orders.rs:7:46",
            "refunds - src/refunds.rs:9:16",
            "refunds publish src/refunds.rs:6:5",
            "refunds subscribers src/refunds.rs:8:5",
        ]
    );
    let topic = analysis.graph.topic("placed").unwrap();
    assert_eq!(
        (&topic.publishers[..], &topic.users[..]),
        (&own(["orders", "refunds"])[..], &own(["audit", "orders", "refunds"])[..])
    );
    let json: serde_json::Value = serde_json::from_str(&bis_graph::json::graph(&analysis.graph)).unwrap();
    assert_eq!(json["uses"][0]["kind"], "topic");
    assert_eq!(json["uses"][0]["resource"], "placed");
}

fn own<const N: usize>(names: [&str; N]) -> [String; N] {
    names.map(str::to_owned)
}
