//! Layers and limits of endpoints, as they are in the graph.

mod common;

use common::analyze;
use serde_json::{Value, json};

const APP: &str = r#"
//- src/lib.rs
pub mod orders;
bis::app!(
    services: [orders],
    layers: [
        TraceLayer::new_for_http(),
        CorsLayer::new()
            .allow_origin(Any),
    ],
);
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders", layers: [Audit::of(&AUDITED), from_fn(log)]);

#[derive(Event, Serialize, Deserialize)]
pub struct Seen {}
pub static AUDITED: Topic<Seen> = Topic::new("audited");

#[api(PUT, "/photo", public, layers = [limit(1, 2), CompressionLayer::new()], body_limit = "10MB", timeout = "5s")]
async fn photo() -> Result<()> { Ok(()) }

#[api(GET, "/plain", public)]
async fn plain() -> Result<()> { Ok(()) }
"#;

#[test]
fn the_graph_has_each_layer_as_it_is_written() {
    let analysis = analyze(APP);
    let json: Value = serde_json::from_str(&bis_graph::json::graph(&analysis.graph)).unwrap();
    assert_eq!(json["layers"], json!(["TraceLayer::new_for_http()", "CorsLayer::new() .allow_origin(Any)"]));
    assert_eq!(json["services"][0]["layers"], json!(["Audit::of(&AUDITED)", "from_fn(log)"]));
    let [photo, plain] = [0, 1].map(|index| &json["endpoints"][index]);
    assert_eq!(photo["layers"], json!(["limit(1, 2)", "CompressionLayer::new()"]));
    assert_eq!((&photo["body_limit_bytes"], &photo["timeout_ms"]), (&json!(10_000_000), &json!(5000)));
    for absent in ["layers", "body_limit_bytes", "timeout_ms"] {
        assert_eq!(plain.get(absent), None, "{absent}");
    }
    // A program does not describe them, so the two are not compared in this.
    assert!(!bis_graph::json::description(&analysis.graph).to_string().contains("limit"));
}

#[test]
fn a_service_uses_what_its_layers_name() {
    let uses = analyze(APP).graph.uses;
    let found: Vec<_> = uses.iter().map(|one| (one.service.as_str(), one.resource.as_str())).collect();
    assert_eq!(found, [("orders", "audited")]);
}

#[test]
fn what_is_wrong_with_layers_is_found_in_the_source() {
    let analysis = analyze(
        r#"
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders], layer: []);
//- src/orders.rs
bis::service!("orders", layers: log);
#[bis::api(GET, "/", public, layers = [let], body_limit = "10 mb", timeout = "0s")]
async fn root() -> bis::Result<()> { Ok(()) }
"#,
    );
    let mut found: Vec<_> = analysis.diagnostics.iter().map(|one| (one.code, one.message.as_str())).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("BIS0011", "`[let]` is not a list of layers"),
            ("BIS0011", "`app!` has no `layer`"),
            ("BIS0011", "`layers` is a list, not `log`"),
            ("BIS0014", "`timeout` is zero"),
            ("BIS0015", "`10 mb` is not a size"),
        ]
    );
}
