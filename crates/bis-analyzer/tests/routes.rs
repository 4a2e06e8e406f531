//! Paths of endpoints and mounts, and which parameters of them endpoints take.

mod common;

const ORDERS: &str = r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");

pub struct Unseen(u64);
#[derive(Deserialize)]
pub struct Id(u64);
#[derive(Deserialize)]
pub struct Pair(u64, Id);
pub type Both = (u64, u64);
#[derive(Deserialize)]
pub struct Named { pub shop: u64, pub note: Option<String> }
"#;

/// Checks the codes of a service with this source.
#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    let mut found = common::codes(&analysis);
    found.sort();
    assert_eq!(found, expected, "{}", common::text(&analysis));
}

/// An endpoint at a path that takes this.
#[track_caller]
fn check_taken(path: &str, taken: &str, is_right: bool) {
    let source = format!(
        "#[api(GET, \"{path}\", public)]\nasync fn at(Path(_): Path<{taken}>) -> Result<()> {{ Ok(()) }}\n"
    );
    check(&source, if is_right { &[] } else { &["BIS0080"] });
}

#[test]
fn an_endpoint_takes_as_many_parameters_as_its_path_has() {
    for (path, taken, is_right) in [
        ("/{a}", "u64", true),
        ("/{*a}", "String", true),
        ("/{a}", "(u64,)", true),
        ("/{a}/{b}", "(u64, String)", true),
        ("/{a}/{b}", "Vec<String>", true),
        ("/{a}/{b}", "std::collections::HashMap<String, String>", true),
        ("/{a}", "Unseen", true),
        ("/{a}", "Id", true),
        ("/{a}/{b}", "Pair", true),
        ("/{a}/{b}", "Both", true),
        ("/{shop}", "Named", true),
        ("/{a}/{b}", "u64", false),
        ("/{a}", "(u64, u64)", false),
        ("/none", "u64", false),
        ("/none", "Id", false),
        ("/{a}/{b}", "Id", false),
        ("/{a}", "Pair", false),
        ("/{a}", "Both", false),
        ("/{a}", "Named", false),
    ] {
        check_taken(path, taken, is_right);
    }
}

#[test]
fn routes_that_axum_refuses_are_found() {
    let endpoint = |name: &str, method: &str, path: &str| {
        format!("#[api({method}, \"{path}\", public)]\nasync fn {name}() -> Result<()> {{ Ok(()) }}\n")
    };
    let two = |first: &str, second: &str| endpoint("one", "GET", first) + &endpoint("two", "POST", second);
    let mount = |path: &str| {
        format!("#[mount(\"{path}\")]\nfn mounted() -> axum::Router {{ axum::Router::new() }}\n")
    };
    check(&two("/a/{id}", "/a/{*rest}"), &["BIS0081"]);
    check(&two("/a/{id}", "/a/{other}"), &["BIS0024"]);
    check(&two("/a/{id}", "/a/fixed"), &[]);
    check(&(endpoint("one", "GET", "/files/{name}") + &mount("/files")), &["BIS0081"]);
    check(&(endpoint("one", "GET", "/files/fixed") + &mount("/files")), &[]);
    for path in ["/{*rest}/x", "/a/*rest", "/café", "/a/../b", "/_bis/call/x"] {
        check(&endpoint("one", "GET", path), &["BIS0017"]);
    }
    check(&mount("/café"), &["BIS0017"]);
}

#[test]
fn services_share_one_listener() {
    let analysis = common::analyze(
        r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[api(GET, "/files/{name}", public)]
async fn one() -> Result<()> { Ok(()) }
#[api(GET, "/inner/{name}", private)]
async fn inner() -> Result<()> { Ok(()) }
//- src/shipping.rs
use bis::prelude::*;
bis::service!("shipping");
#[mount("/files")]
fn files() -> axum::Router { axum::Router::new() }
#[mount("/inner")]
fn beside_what_is_private() -> axum::Router { axum::Router::new() }
"#,
    );
    assert_eq!(common::codes(&analysis), ["BIS0081"], "{}", common::text(&analysis));
}
