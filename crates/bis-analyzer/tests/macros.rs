//! Included files, selected items, and macros of the workspace: read where they can be, reported where they cannot.

mod common;

use common::{ORDERS, analyze, codes, edges, more};

fn found(source: &str) -> Vec<&'static str> {
    let analysis = analyze(&format!("{ORDERS}{source}"));
    assert!(!analysis.has_errors(), "{}", common::text(&analysis));
    codes(&analysis)
}

#[test]
fn included_files_are_parts_of_their_module() {
    let fixture = r#"
//- src/lib.rs
pub mod orders;
pub mod shipping { include!("parts/shipping.rs"); }
bis::app!(services: [orders, shipping]);
//- src/orders.rs
bis::service!("orders");
include!("parts/orders.rs");
async fn more() { PLACED.publish(&1).await; }
include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/parts/more.rs"));
//- src/parts/orders.rs
use bis::prelude::*;
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
pub static PLACED: Topic<Placed> = Topic::new("placed");
pub mod below;
//- src/parts/below.rs
use super::*;
#[api(POST, "/below", public)]
async fn below() -> Result<()> { super::PLACED.publish(&1).await }
//- src/parts/more.rs
#[subscription(PLACED)]
async fn count(_: self::Placed) -> Result<()> { Ok(()) }
//- src/parts/shipping.rs
use bis::prelude::*;
use super::orders::{PLACED, Placed};
bis::service!("shipping");
#[subscription(PLACED, name = "ship")]
async fn ship(_: Placed) -> Result<()> { Ok(()) }
"#;
    common::check(
        fixture,
        "
service orders = shop::orders
service shipping = shop::shipping
topic placed : shop::orders::Placed <- [orders]
subscription placed/count -> orders (shop::orders::count : shop::orders::Placed)
subscription placed/ship -> shipping (shop::shipping::ship : shop::orders::Placed)
endpoint POST /below -> orders (shop::orders::below::below)
",
    );
    assert_eq!(common::text(&analyze(fixture)), "");
    let analysis = analyze(fixture);
    for file in ["parts/orders.rs", "parts/below.rs", "parts/more.rs"] {
        assert!(analysis.files.iter().any(|read| read.ends_with(file)), "{file}");
    }
}

#[test]
fn a_file_that_the_build_makes_is_told() {
    assert_eq!(found("include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));"), ["BIS0052"]);
    assert_eq!(found("mod made { include!(\"missing.rs\"); }"), ["BIS0052"]);
    let topic = "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));
#[subscription(MADE, name = \"x\")] async fn x(_: Placed) -> Result<()> { Ok(()) }";
    assert_eq!(found(topic), ["BIS0052"]);
}

#[test]
fn of_selected_items_those_in_the_build_are_read() {
    let get = |path: &str| {
        let name = path.trim_start_matches('/');
        format!("#[api(GET, \"{path}\", public)] async fn {name}() -> Result<()> {{ Ok(()) }}")
    };
    let select = format!(
        "cfg_select! {{ windows => {{ {} }} all(unix, not(test)) => {{ {} }} _ => {{ {} }} }}",
        get("/a"),
        get("/b"),
        get("/c")
    );
    assert_eq!(more(&select), ["endpoint GET /b -> orders (shop::orders::b)"]);
    let rest = format!(
        "std::cfg_select! {{ false => {{ {} }} _ => {{ {} mod inner {{ }} }} }}",
        get("/a"),
        get("/c")
    );
    assert_eq!(more(&rest), ["endpoint GET /c -> orders (shop::orders::c)"]);
    let chain = format!(
        "cfg_if::cfg_if! {{ if #[cfg(windows)] {{ {} }} else if #[cfg(unix)] {{ {} }} else {{ {} }} }}",
        get("/a"),
        get("/b"),
        get("/c")
    );
    assert_eq!(more(&chain), ["endpoint GET /b -> orders (shop::orders::b)"]);
    let body = "pub static OTHER: Topic<Placed> = Topic::new(\"other\");
async fn f() { cfg_select! { windows => { OTHER.publish(&1).await }, _ => PLACED.publish(&1).await, } }";
    assert_eq!(more(body), ["topic other : shop::orders::Placed <- []"]);
}

#[test]
fn a_macro_of_the_workspace_is_expanded() {
    let topic = "topic sent : shop::orders::Placed <- [orders]";
    let publish = "async fn f() { SENT.publish(&1).await; }\n";
    for source in [
        "macro_rules! topic { ($n:ident, $s:literal) => { pub static $n: Topic<Placed> = Topic::new($s); }; }\ntopic!(SENT, \"sent\");",
        "macro_rules! topic { ($v:vis $n:ident : $t:ty = $s:expr) => { $v static $n: Topic<$t> = Topic::new($s); }; }\ntopic! { pub(crate) SENT: crate::orders::Placed = concat!(\"se\", \"nt\") }",
        "macro_rules! topic { ($n:ident, $s:ident) => { pub static $n: Topic<Placed> = Topic::new(concat!(stringify!($s))); }; }\ntopic!(SENT, sent);",
        "macro_rules! topics { ($($n:ident => $s:literal),* $(,)?) => { $(pub static $n: Topic<Placed> = Topic::new($s);)* }; }\ntopics!(SENT => \"sent\",);",
        "macro_rules! t { (@one $n:ident) => { pub static $n: Topic<Placed> = Topic::new(\"sent\"); }; ($n:ident) => { t!(@one $n); }; }\nt!(SENT);",
        "macro_rules! all { () => { pub static SENT: $crate::orders::Kind = Topic::new(\"sent\"); }; }\npub type Kind = Topic<Placed>;\nall!();",
        "mod tools { macro_rules! keep { ($($t:tt)*) => { $($t)* }; } pub(crate) use keep; }\ntools::keep! { pub static SENT: Topic<Placed> = Topic::new(\"sent\"); }",
    ] {
        assert_eq!(more(&format!("{source}\n{publish}")), [topic], "{source}");
        assert_eq!(found(&format!("{source}\n{publish}"))[..], ["BIS0025"], "{source}");
    }
}

#[test]
fn items_in_a_macros_braces_are_read() {
    let source = r#"
macro_rules! cfg_unix { ($($item:item)*) => { $(#[cfg(unix)] $item)* }; }
macro_rules! cfg_other { ($($item:item)*) => { $(#[cfg(windows)] $item)* }; }
cfg_unix! {
    #[subscription(PLACED, name = "mail")]
    async fn mail(_: Placed) -> Result<()> { Ok(()) }
    pub mod invoices;
}
cfg_other! {
    #[subscription(PLACED, name = "gone")]
    async fn gone(_: Placed) -> Result<()> { Ok(()) }
    pub mod missing;
}
macro_rules! handler { ($f:ident, $t:path, $n:literal, $($option:tt)*) => {
    #[subscription($t, name = $n, $($option)*)]
    async fn $f(_: Placed) -> Result<()> { Ok(()) }
}; }
handler!(three, PLACED, "three", timeout = "5s", concurrency = 3);
//- src/orders/invoices.rs
use super::{PLACED, Placed};
use bis::prelude::*;
#[subscription(PLACED, name = "invoice")]
async fn invoice(_: Placed) -> Result<()> { Ok(()) }
"#;
    assert_eq!(
        more(source),
        [
            "subscription placed/invoice -> orders (shop::orders::invoices::invoice : shop::orders::Placed)",
            "subscription placed/mail -> orders (shop::orders::mail : shop::orders::Placed)",
            "subscription placed/three -> orders (shop::orders::three : shop::orders::Placed)",
        ]
    );
    assert_eq!(found(source), [""; 0]);
}

#[test]
fn a_macro_of_another_crate_of_the_workspace_is_expanded() {
    let fixture = r#"
//- Cargo.toml
[package]
name = "shop"
edition = "2024"
[dependencies]
bis = "0.1"
tools = { path = "tools" }
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
tools::listen!(note);
//- tools/Cargo.toml
[package]
name = "tools"
edition = "2021"
[dependencies]
bis = "0.1"
//- tools/src/lib.rs
use bis::prelude::*;
#[derive(Event, Serialize, Deserialize)]
pub struct Tick { pub id: u64 }
pub static TICKS: Topic<Tick> = Topic::new("ticks");
#[macro_export]
macro_rules! listen { ($f:ident) => {
    #[subscription($crate::TICKS)]
    async fn $f(tick: $crate::Tick) -> bis::Result<()> { $crate::TICKS.publish(&tick).await }
}; }
"#;
    assert_eq!(common::text(&analyze(fixture)), "");
    assert!(edges(fixture).contains("subscription ticks/note -> orders (shop::orders::note : tools::Tick)"));
}

#[test]
fn what_cannot_be_expanded_and_may_declare_something_is_told_at_each_use() {
    let declaring = "money::wrap! { #[subscription(PLACED, name = \"x\")] async fn x(_: Placed) {} }";
    assert_eq!(found(declaring), ["BIS0053"]);
    assert_eq!(found("money::wrap! { mod x; }\nmoney::wrap! { pub mod y; }"), ["BIS0053"; 2]);
    let broken = "macro_rules! odd { ($a:ident) => { pub static ${concat($a, X)}: Topic<Placed> = Topic::new(\"odd\"); }; }\nodd!(A);\nodd!(B);";
    assert_eq!(found(broken), ["BIS0053"; 2]);
    let in_body = "macro_rules! t { ($s:literal) => { static T: Topic<Placed> = Topic::new($s); }; }\nasync fn f() { t!(\"t\"); }";
    assert_eq!(found(in_body), ["BIS0053"]);
    let made = "macro_rules! maker { () => { macro_rules! made { () => { pub static MADE: Topic<Placed> = Topic::new(\"made\"); } } } }\nmaker!();\nmade!();";
    assert_eq!(found(made), ["BIS0053"]);
    // What has nothing to do with Bis is not reported.
    assert_eq!(found("thread_local! { static X: u8 = 1; }\nmoney::table! { users { id } }"), [""; 0]);
}

#[test]
fn of_two_macros_with_one_name_it_is_told_that_one_is_meant() {
    let fixture = r#"
//- src/lib.rs
#[macro_use]
mod tools;
mod other;
pub mod orders;
bis::app!(services: [orders]);
//- src/tools.rs
macro_rules! standard { () => { pub static STANDARD: bis::Topic<crate::orders::Placed> = bis::Topic::new("standard"); }; }
//- src/other.rs
macro_rules! standard { () => { 1 }; }
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
standard!();
#[subscription(STANDARD)]
async fn ship(event: Placed) -> Result<()> { STANDARD.publish(&event).await }
"#;
    assert_eq!(codes(&analyze(fixture)), ["BIS0053"]);
}

#[test]
fn what_cannot_be_read_hides_no_crate() {
    let rest = r#"
//- src/orders.rs
bis::service!("orders");
#[derive(bis::Event, serde::Serialize, serde::Deserialize)]
pub struct Placed { pub id: u64 }
pub static PLACED: bis::Topic<Placed> = bis::Topic::new("placed");
#[bis::subscription(PLACED)]
async fn ship(event: Placed) -> bis::Result<()> { PLACED.publish(&event).await }
"#;
    let all = edges(rest);
    assert!(all.contains("subscription placed/ship"), "{all}");
    let foreign = "thread_local! { static X: Option<bis::EventId> = const { None }; }";
    assert_eq!(edges(&format!("{rest}{foreign}")), all);
    let unread = "macro_rules! odd { ($a:ident) => { pub static ${concat($a, X)}: bis::Topic<Placed> = bis::Topic::new(\"odd\"); }; }\nodd!(A);";
    assert_eq!(edges(&format!("{rest}{unread}")), all);
}

#[test]
fn an_endless_macro_ends() {
    let endless = "macro_rules! more { ($($t:tt)*) => { more!($($t)* $($t)*); }; }\nmore!(a);";
    assert_eq!(found(endless), [""; 0]);
}

#[test]
fn a_change_of_a_macro_is_seen_where_it_is_used() {
    let fixture = "
//- src/lib.rs
#[macro_use]
mod tools;
pub mod orders;
bis::app!(services: [orders]);
//- src/tools.rs
macro_rules! name { () => { bis::service!(\"one\"); }; }
//- src/orders.rs
name!();
";
    let folder = common::folder(fixture);
    let mut workspace = bis_analyzer::Workspace::open(folder.path(), bis_analyzer::Options::default());
    assert_eq!(workspace.analyze().graph.services[0].name, "one");
    let changed = "macro_rules! name { () => { bis::service!(\"two\"); }; }\n";
    std::fs::write(folder.path().join("src/tools.rs"), changed).expect("the fixture is writable");
    assert_eq!(workspace.analyze().graph.services[0].name, "two");
}

#[test]
fn a_service_that_an_unread_macro_may_name_stops_nothing() {
    let fixture = r#"
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
money::wrap! { bis::service!("orders"); }
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
pub static PLACED: Topic<Placed> = Topic::new("placed");
#[subscription(PLACED)]
async fn ship(event: Placed) -> Result<()> { PLACED.publish(&event).await }
"#;
    let analysis = analyze(fixture);
    assert!(!analysis.has_errors(), "{}", common::text(&analysis));
    assert!(codes(&analysis).contains(&"BIS0053"), "{}", common::text(&analysis));
    let hidden = analyze("//- src/lib.rs\ninclude!(concat!(env!(\"OUT_DIR\"), \"/app.rs\"));\n");
    assert_eq!((codes(&hidden), hidden.has_errors()), (vec!["BIS0005", "BIS0052"], false));
}

#[test]
fn a_name_that_one_file_learns_from_another_is_known_in_the_macros_that_it_calls() {
    let fixture = r#"
//- src/lib.rs
#[macro_use]
mod tools;
pub mod orders;
pub mod refunds;
bis::app!(services: [orders, refunds]);
//- src/tools.rs
macro_rules! announcer { () => { async fn announce() { crate::orders::placed.publish(&1).await; } }; }
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
pub static placed: Topic<Placed> = Topic::new("placed");
#[subscription(placed)]
async fn count(_: Placed) -> Result<()> { Ok(()) }
//- src/refunds.rs
bis::service!("refunds");
announcer!();
"#;
    let folder = common::folder(fixture);
    let orders = folder.path().join("src/orders.rs");
    let lower = std::fs::read_to_string(&orders).expect("the fixture is there");
    let write = |text: &str| std::fs::write(&orders, text).expect("the fixture is writable");
    let mut workspace = bis_analyzer::Workspace::open(folder.path(), bis_analyzer::Options::default());
    let mut publishers = || workspace.analyze().graph.topics[0].publishers.clone();
    write(&lower.replace("placed:", "PLACED:").replace("(placed)", "(PLACED)"));
    assert_eq!(publishers(), [""; 0]);
    write(&lower);
    assert_eq!(publishers(), ["refunds"]);
}

#[test]
fn fragments_are_what_rustc_takes_them_for() {
    let source = r#"
macro_rules! kept { ($name:ident, $days:expr) => {
    pub static $name: Topic<Placed> = Topic::new(stringify!($name)).retention(Retention {
        max_age: std::time::Duration::from_secs($days * 60),
        ..Retention::DEFAULT
    });
}; }
kept!(minutes, 1 + 2);
macro_rules! counts { ($name:ident; $($first:stmt);*) => {
    #[subscription(PLACED)]
    async fn $name(_: Placed) -> Result<()> { $($first;)* Ok(()) }
}; }
counts!(count; let (a, b): (u8, u8) = (1, 2); a + b; fn c() {});
"#;
    let analysis = analyze(&format!("{ORDERS}{source}"));
    assert!(!codes(&analysis).contains(&"BIS0053"), "{}", common::text(&analysis));
    let kept = analysis.graph.topic("minutes").expect("the macro declares it");
    assert_eq!(kept.retention.map(|retention| retention.max_age_ms), Some(180_000));
    assert!(analysis.graph.subscriptions.iter().any(|one| one.name == "count"));
}
