//! Which `#[auth]` function is the app's, what endpoints ask of its user, and what is reported when the two do not fit.

mod common;

use bis_graph::{Access, Severity};
use common::{analyze, text};

const USER: &str = "
#[derive(Clone, Serialize, Deserialize)]
pub struct User { pub id: u64 }
#[auth]
async fn authenticate(headers: HeaderMap) -> Result<User> { Ok(User { id: 7 }) }
";

fn service(name: &str, source: &str) -> String {
    format!("//- src/{name}.rs\nuse bis::prelude::*;\nbis::service!(\"{name}\");\n{source}\n")
}

/// The codes of a fixture, and its errors and warnings as text.
#[track_caller]
fn check(fixture: &str, codes: &[&str]) -> String {
    let analysis = analyze(fixture);
    let text = text(&analysis);
    assert_eq!(common::codes(&analysis), codes, "{text}");
    text
}

#[test]
fn the_graph_has_the_function_and_what_endpoints_ask() {
    let orders = format!(
        "{USER}
        #[derive(Event, Serialize, Deserialize)]
        #[event(identity)]
        pub struct Placed {{ pub id: u64 }}
        pub static PLACED: Topic<Placed> = Topic::new(\"placed\");
        #[subscription(PLACED)]
        async fn note(_: Placed) -> Result<()> {{ Ok(()) }}
        #[api(GET, \"/a\", auth)]
        async fn a(Auth(user): Auth<User>, Path(id): Path<u64>) -> Result<()> {{ PLACED.publish(&x).await }}
        #[api(GET, \"/b\", public)]
        async fn b(user: Option<bis::Auth<self::User>>) -> Result<()> {{ Ok(()) }}
        #[api(GET, \"/c\", private)]
        async fn c(user: Auth<User>) -> Result<()> {{ Ok(()) }}
        #[api(GET, \"/d\", auth)]
        async fn d() -> Result<()> {{ Ok(()) }}"
    );
    let analysis = analyze(&service("orders", &orders.replace("Path(id): Path<u64>", "headers: HeaderMap")));
    assert_eq!(text(&analysis), "");
    let graph = &analysis.graph;
    let [function] = &graph.auth[..] else { panic!("{:?}", graph.auth) };
    assert_eq!(function.function, "shop::orders::authenticate");
    assert_eq!((function.user.as_str(), function.user_path.as_str()), ("User", "shop::orders::User"));
    assert_eq!(function.service.as_deref(), Some("orders"));
    let asked: Vec<_> = graph
        .endpoints
        .iter()
        .map(|endpoint| {
            let users = endpoint.users.iter();
            let users: Vec<_> = users.map(|asked| (asked.path.as_str(), asked.is_optional)).collect();
            (endpoint.access, users)
        })
        .collect();
    let user = "shop::orders::User";
    let expected = [
        (Access::Auth, vec![(user, false)]),
        (Access::Public, vec![(user, true)]),
        (Access::Private, vec![(user, false)]),
        (Access::Auth, vec![]),
    ];
    assert_eq!(asked, expected);
    assert!(graph.events[0].identity);
    let json: serde_json::Value = serde_json::from_str(&bis_graph::json::graph(graph)).unwrap();
    assert_eq!(json["endpoints"][0]["access"], "auth");
    assert_eq!(json["endpoints"][1]["users"][0]["optional"], true);
    assert_eq!(json["auth"][0]["user_path"], user);
    let described = bis_graph::json::description(graph);
    let expected = serde_json::json!([{ "function": "shop::orders::authenticate", "user": "User" }]);
    assert_eq!(described["auth"], expected);
    let mermaid = bis_graph::mermaid::graph(graph);
    for line in [
        "endpoint_0>\"GET /a (auth)\"]",
        "endpoint_2>\"GET /c (private)\"]",
        "auth_0{{\"authenticate: User\"}}",
        "auth_0 -. admits .-> endpoint_0",
        "auth_0 -. admits .-> endpoint_1",
        "auth_0 -. admits .-> endpoint_3",
    ] {
        assert!(mermaid.contains(line), "{line} in {mermaid}");
    }
    assert!(!mermaid.contains("auth_0 -. admits .-> endpoint_2"), "{mermaid}");
}

const ASKS: &str = "
#[api(GET, \"/a\", auth)]
async fn a(Auth(user): Auth<crate::users::User>) -> Result<()> { Ok(()) }";

/// An app of one service whose crate has another module outside every service.
fn beside(users: &str) -> String {
    let users = format!("//- src/users.rs\nuse bis::prelude::*;\n{users}\n");
    let lib = "//- src/lib.rs\npub mod orders;\npub mod users;\nbis::app!(services: [orders]);\n";
    format!("{}{users}{lib}", service("orders", ASKS))
}

#[test]
fn a_function_outside_every_service_is_of_the_app_whose_crate_has_it() {
    check(&beside(USER), &[]);
    let analysis = analyze(&beside(USER));
    assert_eq!(analysis.graph.auth[0].service, None);
}

#[test]
fn a_service_that_is_not_listed_has_a_function_of_no_app() {
    let users = format!("bis::service!(\"users\");{USER}");
    check(&beside(&users), &["BIS0085", "BIS0008"]);
}

#[test]
fn a_function_of_a_crate_that_the_app_depends_on_is_not_the_apps() {
    let manifest = |name: &str, more: &str| {
        format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\nbis = \"0.1\"\nserde = \"1\"\n{more}\n"
        )
    };
    let fixture = |own: &str, uses: &str| {
        format!(
            "//- Cargo.toml\n{}//- src/lib.rs\npub mod orders;\n{own}\nbis::app!(services: [orders]);\n{}\
             //- users/Cargo.toml\n{}//- users/src/lib.rs\nuse bis::prelude::*;\n{USER}\n",
            manifest("shop", "users = { path = \"users\" }"),
            service("orders", &ASKS.replace("crate::users::User", uses)),
            manifest("users", ""),
        )
    };
    check(&fixture("", "users::User"), &["BIS0085"]);
    let own = "#[bis::auth]\nasync fn authenticate() -> bis::Result<users::User> { todo!() }";
    check(&fixture(own, "users::User"), &[]);
}

#[test]
fn what_does_not_fit_is_named_with_both_places() {
    let two = format!("{USER}{}", "#[auth] async fn other() -> Result<User> { todo!() }");
    let found = check(&beside(&two), &["BIS0086"]);
    assert!(found.contains("`shop::users::authenticate` and `shop::users::other`"), "{found}");
    let other = format!(
        "{}\n#[derive(Clone)] pub struct Admin;",
        USER.replace("-> Result<User>", "-> Result<Admin>")
    );
    let found = check(&beside(&other), &["BIS0087"]);
    assert!(found.contains("the endpoint `a` takes `Auth<User>`, but the app's user is `Admin`"), "{found}");
    assert!(found.contains("src/users.rs"), "{found}");
    let alias = format!("{}\npub type Alias = User;", USER.replace("-> Result<User>", "-> Result<Alias>"));
    check(&beside(&alias), &[]);
}

#[test]
fn mistakes_in_the_attribute_are_reported_where_they_are() {
    for (function, code) in [
        ("#[auth(challenge = \"\")] async fn authenticate() -> Result<User> { todo!() }", "BIS0015"),
        ("#[auth(realm = \"shop\")] async fn authenticate() -> Result<User> { todo!() }", "BIS0012"),
        ("#[auth] fn authenticate() -> Result<User> { todo!() }", "BIS0016"),
        ("#[auth] async fn authenticate() {}", "BIS0016"),
        ("#[auth] async fn authenticate() -> Result<impl Sized> { todo!() }", "BIS0016"),
    ] {
        let users = format!("pub struct User;\n{function}");
        check(&beside(&users), &[code]);
    }
}

#[test]
fn where_something_is_not_read_a_function_may_be_there() {
    let hidden =
        "pub struct User;\nfoo::hidden! { #[auth] async fn authenticate() -> Result<User> { todo!() } }";
    let analysis = analyze(&beside(hidden));
    let found = analysis.diagnostics.iter().find(|diagnostic| diagnostic.code == "BIS0085").unwrap();
    assert_eq!(found.severity, Severity::Warning, "{}", text(&analysis));
}
