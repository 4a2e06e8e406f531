//! Which binary is the app's, which package of a workspace, and calls between services.

mod common;

use bis_analyzer::{Analysis, Options};
use common::{codes, folder, text};

const ORDERS: &str =
    "mod orders { bis::service!(\"orders\"); }\nbis::app!(services: [orders]);\nfn main() {}\n";

fn analyze(fixture: &str, bin: Option<&str>) -> Analysis {
    let options = Options { bin: bin.map(str::to_owned), ..Options::default() };
    bis_analyzer::analyze(folder(fixture).path(), &options)
}

fn manifest(rest: &str) -> String {
    format!(
        "//- Cargo.toml\n[package]\nname = \"shop\"\nedition = \"2024\"\n{rest}\n[dependencies]\nbis = \"0.1\"\n"
    )
}

#[test]
fn a_binary_in_src_bin_is_an_app() {
    for file in ["src/bin/server.rs", "src/bin/server/main.rs"] {
        let analysis = analyze(&format!("{}//- {file}\n{ORDERS}", manifest("")), None);
        assert_eq!(text(&analysis), "", "{file}");
        assert_eq!(analysis.binary.as_deref(), Some("server"));
        assert_eq!(analysis.graph.services[0].module, "server::orders");
    }
    let declared = "[[bin]]\nname = \"web-server\"\npath = \"app/start.rs\"\n[package.metadata]";
    let analysis = analyze(&format!("{}//- app/start.rs\n{ORDERS}", manifest(declared)), None);
    assert_eq!(analysis.graph.services[0].module, "web_server::orders", "{}", text(&analysis));
}

#[test]
fn of_several_binaries_one_is_chosen_as_cargo_does() {
    let files = format!("//- src/main.rs\n{ORDERS}//- src/bin/tool.rs\n{ORDERS}");
    let several = analyze(&format!("{}{files}", manifest("")), None);
    assert_eq!(codes(&several), ["BIS0006"]);
    assert_eq!((several.binary, several.binaries), (None, vec!["shop".to_owned(), "tool".to_owned()]));
    let chosen = analyze(&format!("{}{files}", manifest("")), Some("tool"));
    assert_eq!((text(&chosen).as_str(), chosen.binary.as_deref()), ("", Some("tool")));
    assert_eq!(chosen.graph.services[0].module, "tool::orders");
    let default = analyze(&format!("{}{files}", manifest("default-run = \"shop\"")), None);
    assert_eq!((text(&default).as_str(), default.binary.as_deref()), ("", Some("shop")));
}

#[test]
fn a_tool_beside_an_app_is_not_read_as_the_app() {
    let library =
        "//- src/lib.rs\npub mod orders { bis::service!(\"orders\"); }\nbis::app!(services: [orders]);\n";
    let files = format!(
        "{library}//- src/main.rs\nfn main() {{ shop::app().main() }}\n//- src/bin/tool.rs\nfn main() {{}}\n"
    );
    let analysis = analyze(&format!("{}{files}", manifest("")), None);
    assert_eq!(text(&analysis), "");
    assert_eq!(analysis.binary, None);
    let off = analyze(&format!("{}{files}", manifest("autobins = false")), None);
    assert_eq!(off.binaries, [""; 0]);
}

#[test]
fn a_workspace_has_its_app_where_cargo_looks_first() {
    let member = |name: &str| {
        format!(
            "//- crates/{name}/Cargo.toml\n[package]\nname = \"{name}\"\n[dependencies]\nbis = \"0.1\"\n//- crates/{name}/src/main.rs\n{ORDERS}"
        )
    };
    let workspace = |rest: &str| {
        let root = format!("//- Cargo.toml\n[workspace]\nmembers = [\"crates/**\"]\n{rest}\n");
        analyze(&format!("{root}{}{}", member("one"), member("two")), None)
    };
    assert_eq!(codes(&workspace("")), ["BIS0006"]);
    let chosen = workspace("default-members = [\"crates/two\"]");
    assert_eq!((text(&chosen).as_str(), chosen.package.as_deref()), ("", Some("two")));
}

#[test]
fn a_call_of_another_services_endpoint_is_an_edge() {
    let fixture = r#"
//- src/orders.rs
use bis::prelude::*;
use crate::r#try::price as cost;
use crate::stock::*;
bis::service!("orders");
#[api(POST, "/orders", public)]
pub async fn place() -> Result<()> {
    cost(Json(1)).await?;
    tokio::join!(reserve(Json(1)), crate::stock::release(Json(2)));
    own().await?;
    crate::stock::helper();
    Ok(())
}
#[api(GET, "/own", private)]
async fn own() -> Result<()> { Ok(()) }
//- src/try.rs
use bis::prelude::*;
bis::service!("pricing");
#[api(GET, "/price", private)]
pub async fn price(_: Json<u8>) -> Result<()> { use crate::orders; orders::place().await }
//- src/stock.rs
use bis::prelude::*;
bis::service!("stock");
#[api(POST, "/reserve", private)]
pub async fn reserve(_: Json<u8>) -> Result<()> { Ok(()) }
#[api(POST, "/release", private)]
pub async fn release(_: Json<u8>) -> Result<()> { Ok(()) }
pub fn helper() {}
//- src/lib.rs
pub mod orders;
pub mod r#try;
pub mod stock;
bis::app!(services: [orders, r#try, stock]);
"#;
    let analysis = analyze(fixture, None);
    assert_eq!(text(&analysis), "");
    let calls: Vec<String> = analysis
        .graph
        .calls
        .iter()
        .map(|call| format!("{} -> {}::{}", call.from, call.to, call.endpoint))
        .collect();
    assert_eq!(
        calls,
        [
            "orders -> pricing::price",
            "orders -> stock::reserve",
            "orders -> stock::release",
            "pricing -> orders::place"
        ]
    );
    let chart = bis_graph::mermaid::graph(&analysis.graph);
    assert!(chart.contains("service_orders -. calls .-> service_stock"), "{chart}");
}
