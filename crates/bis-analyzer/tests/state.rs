//! Resources of the type `Resource<T>`, from source to graph: what they are, who uses them, and what does not fit.

mod common;

use common::{analyze, check, codes, text};

/// An app with a service for `orders.rs`, another, and a shared module.
const APP: &str = r#"
//- src/lib.rs
pub mod orders;
pub mod db;
pub mod shipping;
bis::app!(services: [orders, shipping]);
//- src/main.rs
fn main() -> std::process::ExitCode { shop::app().main() }
//- src/db.rs
use bis::{Resource, Result};
pub struct Pool;
pub struct Ledger;
/// All connections.
pub static POOL: Resource<Pool> = bis::resource!(|| async { Ok(Pool) });
pub static LEDGER: Resource<Ledger> = bis::resource!(Ledger::open);
impl Ledger {
    async fn open() -> Result<Self> { POOL.ready().await?; Ok(Self) }
}
pub async fn query() { POOL.get(); }
//- src/shipping.rs
use bis::prelude::*;
use bis::{Resource as Kept, resource as kept};
bis::service!("shipping");
pub struct Carrier;
pub static CARRIER: Kept<Carrier> = kept!(|| async { Ok(Carrier) });
#[on_start]
async fn warm() -> Result<()> { CARRIER.get(); Ok(()) }
//- src/orders.rs
use bis::prelude::*;
use bis::Resource;
use crate::db::{self, POOL};
bis::service!("orders");
"#;

#[test]
fn resources_are_in_the_graph_with_who_uses_them() {
    check(
        &format!(
            r#"{APP}
#[api(GET, "/orders", public)]
async fn list() -> Result<()> {{ db::POOL.get(); Ok(()) }}
#[background]
async fn chase() -> Result<()> {{ POOL.try_get().ok(); pass(&db::LEDGER); Ok(()) }}
fn pass(ledger: &Resource<db::Ledger>) {{}}
"#
        ),
        "
service orders = shop::orders
service shipping = shop::shipping
resource shop::db::LEDGER : shop::db::Ledger (shared) <- [orders]
resource shop::db::POOL : shop::db::Pool (shared) <- [orders]
resource shop::shipping::CARRIER : shop::shipping::Carrier (shipping) <- [shipping]
endpoint GET /orders -> orders (shop::orders::list)
on_start shop::shipping::warm -> shipping [resource shop::shipping::CARRIER get]
background shop::orders::chase (1000..60000) -> orders [resource shop::db::POOL try_get] [resource shop::db::LEDGER ?]
",
    );
    let analysis = analyze(&format!(
        "{APP}
#[api(GET, \"/orders\", public)]
async fn list() -> Result<()> {{ db::POOL.get(); inner().await }}
async fn inner() -> Result<()> {{ db::LEDGER.get(); Ok(()) }}
#[derive(Event, Serialize, Deserialize)]
pub struct Placed {{ pub n: u32 }}
pub static PLACED: Topic<Placed> = Topic::new(\"placed\");
#[subscription(PLACED)]
async fn ship(event: Placed) -> Result<()> {{ POOL.ready().await?; PLACED.publish(&event).await }}
"
    ));
    let used = |uses: &[bis_graph::FunctionUse]| -> Vec<String> {
        uses.iter().map(|one| format!("{} {}", one.resource, one.method.as_deref().unwrap_or("?"))).collect()
    };
    assert_eq!(used(&analysis.graph.endpoints[0].uses), ["shop::db::POOL get"]);
    assert_eq!(used(&analysis.graph.subscriptions[0].uses), ["shop::db::POOL ready", "placed publish"]);
    let analysis = analyze(APP);
    assert!(analysis.diagnostics.is_empty(), "{}", text(&analysis));
    assert_eq!(analysis.graph.state[1].description.as_deref(), Some("All connections."));
}

#[test]
fn another_services_resource_is_warned_of() {
    let analysis = analyze(&format!(
        r#"{APP}
#[api(POST, "/orders", public)]
async fn place() -> Result<()> {{ crate::shipping::CARRIER.get(); Ok(()) }}
"#
    ));
    insta::assert_snapshot!(text(&analysis));
    assert!(!analysis.has_errors());
}

#[test]
fn a_services_resource_is_warned_of_outside_every_service() {
    let analysis = analyze(&APP.replace("POOL.get();", "crate::shipping::CARRIER.get();"));
    insta::assert_snapshot!(text(&analysis));
}

#[test]
fn resources_are_made_by_the_macro() {
    for value in ["make!(Pool::open)", "make()", "Resource::new(1)", "bis::sql!(Pool::open)"] {
        let analysis = analyze(&format!("{APP}pub static CACHE: Resource<u8> = {value};"));
        assert_eq!(codes(&analysis), ["BIS0061"], "{value}: {}", text(&analysis));
    }
    insta::assert_snapshot!(text(&analyze(&format!("{APP}pub static CACHE: Resource<u8> = make();"))));
}

#[test]
fn the_macro_takes_a_function() {
    let found: String = ["Pool::open()", "Pool::open, 7", ""]
        .map(|argument| {
            text(&analyze(&format!("{APP}static CACHE: Resource<u8> = bis::resource!({argument});")))
        })
        .concat();
    insta::assert_snapshot!(found);
}

#[test]
fn a_path_that_leads_to_no_resource_is_an_error() {
    let analysis = analyze(&format!("{APP}async fn ask() {{ db::POL.ready().await; }}"));
    insta::assert_snapshot!(text(&analysis));
}

#[test]
fn who_asks_may_be_read_from_a_resource_outside_every_service() {
    let fixture = r#"
//- src/lib.rs
use bis::prelude::*;
pub mod orders;
bis::app!(services: [orders]);
pub struct Pool;
pub static POOL: bis::Resource<Pool> = bis::resource!(|| async { Ok(Pool) });
#[derive(Event, Serialize, Deserialize)]
pub struct Asked { pub n: u32 }
pub static ASKED: Topic<Asked> = Topic::new("asked");
#[derive(Clone, Serialize, Deserialize)]
pub struct User { pub id: u64 }
#[auth]
async fn authenticate(headers: HeaderMap) -> Result<User> {
    POOL.get();
    ASKED.publish(&Asked { n: 1 }).await?;
    Ok(User { id: 7 })
}
//- src/main.rs
fn main() -> std::process::ExitCode { shop::app().main() }
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[subscription(crate::ASKED)]
async fn hear(_: crate::Asked) -> Result<()> { Ok(()) }
"#;
    check(
        fixture,
        "
service orders = shop::orders
topic asked : shop::Asked <- []
resource shop::POOL : shop::Pool (shared) <- []
auth shop::authenticate [resource shop::POOL get] [topic asked publish]
subscription asked/hear -> orders (shop::orders::hear : shop::Asked)
",
    );
    let found = codes(&analyze(fixture));
    assert!(!found.contains(&"BIS0032") && !found.contains(&"BIS0026"), "{found:?}");
    // Elsewhere outside every service, a publish has no source.
    let elsewhere = fixture.replace(
        "//- src/main.rs",
        "async fn other() { ASKED.publish(&Asked { n: 2 }).await; }\n//- src/main.rs",
    );
    assert!(codes(&analyze(&elsewhere)).contains(&"BIS0032"));
}

#[test]
fn a_resource_in_a_function_is_misplaced() {
    let hidden = "static CACHE: Resource<u8> = bis::resource!(|| async { Ok(1) });";
    assert_eq!(codes(&analyze(&format!("{APP}fn hide() {{ {hidden} }}"))), ["BIS0029"]);
}
