//! Source that other analysers stumble over: what cargo builds is read, or at least reported without stopping anything.

mod common;

use bis_analyzer::{Options, Target};
use common::{ORDERS, analyze, check, codes, edges, more};

/// The codes of a service module that begins like [`ORDERS`].
fn found(source: &str) -> Vec<&'static str> {
    codes(&analyze(&format!("{ORDERS}{source}")))
}

#[test]
fn what_a_cfg_takes_out_of_a_body_is_not_read() {
    let source = r#"
#[cfg(feature = "other")]
pub static OTHER: Topic<Placed> = Topic::new("other");
async fn f(x: u64) -> Result<()> {
    #[cfg(feature = "other")]
    OTHER.publish(&x).await?;
    #[cfg(feature = "other")]
    { OTHER.publish(&x).await?; }
    #[cfg(feature = "other")]
    if x > 1 { OTHER.publish(&x).await?; }
    #[cfg(feature = "other")]
    let _ = OTHER.publish(&x).await;
    #[cfg(feature = "other")]
    tokio::join!(OTHER.publish(&x));
    match x {
        #[cfg(feature = "other")]
        0 => OTHER.publish(&x).await?,
        _ => (),
    }
    let s = S { a: 1, #[cfg(feature = "other")] b: OTHER.publish(&x) };
    call(#[cfg(feature = "other")] OTHER.publish(&x));
    #[cfg(feature = "other")]
    fn inner() { OTHER.publish(&1); }
    Ok(())
}
struct S;
impl S { #[cfg(feature = "other")] const X: u8 = OTHER.publish(); }
trait T { #[cfg(feature = "other")] fn f() { OTHER.publish(&1); } }
"#;
    assert_eq!(found(source), [""; 0]);
    let with = format!("{ORDERS}{source}");
    let on = with.replace("feature = \"other\"", "not(feature = \"other\")");
    assert!(edges(&on).contains("topic other : shop::orders::Placed <- [orders]"), "{}", edges(&on));
}

#[test]
fn a_package_without_bis_may_hold_anything() {
    check(
        r#"
//- Cargo.toml
[package]
name = "shop"
edition = "2024"
[dependencies]
bis = "0.1"
old = { path = "old" }
//- src/lib.rs
mod orders { bis::service!("orders"); }
bis::app!(services: [orders]);
//- old/Cargo.toml
[package]
name = "old"
//- old/src/lib.rs
pub mod words;
pub mod parameters;
pub mod strange;
//- old/src/words.rs
pub fn async() -> u8 { let await = try!(1); await }
//- old/src/parameters.rs
pub trait T { fn f(u8) -> Box<Fn(u8) -> u8 + Send>; }
//- old/src/strange.rs
fn "
"#,
        "service orders = shop::orders",
    );
}

#[test]
fn a_crate_of_the_edition_2015_has_topics_too() {
    check(
        r#"
//- Cargo.toml
[package]
name = "shop"
edition = "2024"
[dependencies]
bis = "0.1"
events = { path = "events" }
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[subscription(events::placed::PLACED)]
async fn ship(event: events::Placed) -> Result<()> { Ok(()) }
//- events/Cargo.toml
[package]
name = "events"
edition = "2015"
[dependencies]
bis = "0.1"
//- events/src/lib.rs
extern crate bis;
pub mod placed;
pub use placed::Placed;
pub fn async() {}
//- events/src/placed.rs
use bis::Topic;
use placed::inner::NAME;
pub struct Placed { pub id: u64 }
pub static PLACED: Topic<::placed::Placed> = Topic::new(NAME);
pub trait T { fn f(u8) -> u8; }
pub mod inner { pub const NAME: &'static str = "placed"; }
"#,
        "
service orders = shop::orders
topic placed : events::placed::Placed <- []
subscription placed/ship -> orders (shop::orders::ship : events::placed::Placed)
",
    );
}

#[test]
fn the_edition_may_come_from_the_workspace() {
    check(
        r#"
//- Cargo.toml
[workspace]
members = ["app"]
[workspace.package]
edition = "2024"
//- app/Cargo.toml
[package]
name = "shop"
edition.workspace = true
[dependencies]
bis = "0.1"
//- app/src/lib.rs
mod orders { bis::service!("orders"); pub mod bis { pub fn f() {} } }
bis::app!(services: [orders]);
"#,
        "service orders = shop::orders",
    );
}

#[test]
fn an_item_that_does_not_parse_takes_no_other_with_it() {
    let source = r#"
pub trait Lend { type Item<'a> where Self: 'a; }
impl Lend for u8 { type Item<'a> where Self: 'a = &'a u8; fn f() { PLACED.publish(&1); } }
#[subscription(PLACED, name = "second")]
async fn second(event: Placed) -> Result<()> { let x = become 1 of 2; PLACED.publish(&event).await }
pub mod inner {
    impl Broken for [u8 as where ]; { }
    #[super::api(GET, "/inner", public)]
    pub async fn inner() {}
}
"#;
    assert_eq!(
        more(source),
        [
            "subscription placed/second -> orders (shop::orders::second : shop::orders::Placed)",
            "endpoint GET /inner -> orders (shop::orders::inner::inner)",
        ]
    );
    assert_eq!(found(source), [""; 0]);
}

#[test]
fn an_item_that_does_not_parse_and_may_declare_something_is_told() {
    assert_eq!(found("pub static MORE: Topic<Placed> where = Topic::new(\"more\");"), ["BIS0001"]);
    assert_eq!(found("fn f(u8) { #[subscription(PLACED)] async fn g(e: Placed) {} }"), ["BIS0001"]);
    let text = common::text(&analyze(&format!("{ORDERS}pub mod inner where {{ }}\n")));
    assert!(text.contains("warning[BIS0001]") && text.contains("src/orders.rs:8:1"), "{text}");
}

#[test]
fn files_that_a_path_leads_to() {
    check(
        r#"
//- src/lib.rs
#[path = "handlers"]
pub mod orders {
    #[path = "placing_impl.rs"]
    pub mod placing;
    pub mod shipping;
    #[path = "deep"]
    pub mod more { pub mod last; }
}
pub mod outer;
bis::app!(services: [orders::placing, orders::shipping, orders::more::last, outer::inner::leaf]);
//- src/handlers/placing_impl.rs
bis::service!("placing");
//- src/handlers/shipping.rs
bis::service!("shipping");
//- src/handlers/deep/last.rs
bis::service!("last");
//- src/outer.rs
#[path = "elsewhere"]
pub mod inner { pub mod leaf; }
//- src/elsewhere/leaf.rs
bis::service!("leaf");
"#,
        "
service last = shop::orders::more::last
service leaf = shop::outer::inner::leaf
service placing = shop::orders::placing
service shipping = shop::orders::shipping
",
    );
}

#[test]
fn one_file_as_two_modules_has_modules_in_two_places() {
    check(
        r#"
//- src/lib.rs
pub mod orders { bis::service!("orders"); }
#[path = "shared.rs"]
pub mod aliased;
pub mod shared;
bis::app!(services: [orders, aliased::inner, shared::inner]);
//- src/shared.rs
pub mod inner;
//- src/inner.rs
bis::service!("one");
//- src/shared/inner.rs
bis::service!("two");
"#,
        "
service one = shop::aliased::inner
service orders = shop::orders
service two = shop::shared::inner
",
    );
}

#[test]
fn a_module_in_itself_ends() {
    let analysis = analyze(
        "//- src/lib.rs\nmod a;\nbis::app!(services: [a]);\n//- src/a.rs\n#[path = \"../src/a.rs\"]\nmod b;\nbis::service!(\"a\");\n",
    );
    assert_eq!(analysis.graph.services.len(), 1);
    assert!(codes(&analysis).contains(&"BIS0050"), "{:?}", codes(&analysis));
    let analysis = analyze(
        "//- src/lib.rs\nmod a;\nbis::app!(services: [a]);\n//- src/a.rs\ninclude!(\"a.rs\");\nbis::service!(\"a\");\n",
    );
    assert_eq!(analysis.graph.services.len(), 1);
}

/// An app with two crates of one interface, by platform.
fn by_platform(first: &str, second: &str) -> String {
    let events = "
use bis::prelude::*;
#[derive(Event, Serialize, Deserialize)]
pub struct Tick { pub id: u64 }
pub static TICKS: Topic<Tick> = Topic::new(\"ticks\");
";
    format!(
        r#"
//- Cargo.toml
[package]
name = "shop"
edition = "2024"
[dependencies]
bis = "0.1"
[target.'{first}'.dependencies]
here = {{ path = "here" }}
[target.'{second}'.dependencies]
there = {{ path = "there" }}
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[cfg(unix)]
use here as platform;
#[cfg(windows)]
use there as platform;
#[subscription(platform::TICKS)]
async fn tick(tick: platform::Tick) -> Result<()> {{ platform::TICKS.publish(&tick).await }}
//- here/Cargo.toml
[package]
name = "here"
[dependencies]
bis = "0.1"
//- here/src/lib.rs{events}
//- there/Cargo.toml
[package]
name = "there"
[dependencies]
bis = "0.1"
//- there/src/lib.rs{events}
"#
    )
}

/// A Linux, as rustc describes it.
fn linux() -> Target {
    let cfg = ["unix", "target_os=\"linux\"", "target_arch=\"x86_64\"", "target_pointer_width=\"64\""];
    Target { triple: Some("x86_64-unknown-linux-gnu".to_owned()), cfg: cfg.map(str::to_owned).to_vec() }
}

#[test]
fn dependencies_are_those_of_the_target() {
    let expected = "
service orders = shop::orders
topic ticks : here::Tick <- [orders]
subscription ticks/tick -> orders (shop::orders::tick : here::Tick)
";
    check(&by_platform("cfg(unix)", "cfg(windows)"), expected);
    check(&by_platform("cfg(not(windows))", "cfg(all(windows, target_arch = \"x86_64\"))"), expected);
    let fixture = by_platform("x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc");
    let options = Options { target: Some(linux()), ..Options::default() };
    let analysis = bis_analyzer::analyze(common::folder(&fixture).path(), &options);
    assert_eq!(common::text(&analysis), "");
    assert_eq!(analysis.graph.topics[0].event_path, "here::Tick");
}

#[test]
fn a_file_that_a_build_script_is_to_make_is_a_warning() {
    let fixture = "
//- src/lib.rs
pub mod made;
mod orders { bis::service!(\"orders\"); }
bis::app!(services: [orders]);
";
    assert!(analyze(fixture).has_errors());
    let analysis = analyze(&format!("{fixture}//- build.rs\nfn main() {{}}\n"));
    assert_eq!((codes(&analysis), analysis.has_errors()), (vec!["BIS0003"], false));
    assert_eq!(analysis.graph.services.len(), 1);
}

#[test]
fn a_name_that_may_come_from_elsewhere_is_a_warning() {
    let with = |source: &str| {
        let analysis = analyze(&format!("{ORDERS}{source}"));
        assert!(!analysis.has_errors(), "{source}: {}", common::text(&analysis));
        codes(&analysis)
    };
    let handler = |topic: &str| {
        format!("#[subscription({topic}, name = \"x\")] async fn x(_: Placed) -> Result<()> {{ Ok(()) }}\n")
    };
    assert_eq!(with(&format!("use money::*; {}", handler("GLOB"))), ["BIS0030"]);
    assert_eq!(with(&handler("money::TOPIC")), ["BIS0030"]);
    assert_eq!(with(&format!("money::make_topics!(); {}", handler("MADE"))), ["BIS0030"]);
    assert_eq!(with("pub static ODD: Topic<Placed> = Topic::new(money::NAME);"), ["BIS0028"]);
    assert_eq!(with("async fn f() { static LOCAL: Topic<Placed> = Topic::new(\"local\"); }"), ["BIS0029"]);
    let lost = analyze(&format!("{ORDERS}{}", handler("MISSPELT")));
    assert!(lost.has_errors() && codes(&lost) == ["BIS0030"], "{}", common::text(&lost));
}

#[test]
fn a_topic_within_another_value_is_told() {
    let fixture = format!(
        r#"{ORDERS}
pub struct Topics {{ pub placed: Topic<Placed> }}
pub static BY_REFERENCE: &Topic<Placed> = &Topic::new("a");
pub static IN_LIST: [Topic<Placed>; 2] = [Topic::new("b"), bis::Topic::<Placed>::new("c").ordered()];
pub static IN_STRUCT: Topics = Topics {{ placed: Topic::new("d") }};
pub static LATER: std::sync::LazyLock<Topic<Placed>> = std::sync::LazyLock::new(|| Topic::new("e"));
mod other {{ pub struct Topic; impl Topic {{ pub const fn new(_: &str) -> Self {{ Self }} }}
    pub static FOREIGN: [Topic; 1] = [Topic::new("f")]; }}
"#
    );
    let analysis = analyze(&fixture);
    let lines: Vec<u32> = analysis
        .diagnostics
        .iter()
        .map(|found| {
            assert_eq!(found.code, "BIS0029", "{}", common::text(&analysis));
            assert!(!found.is_error());
            assert!(found.message.contains("so it is missing from the graph"), "{}", found.message);
            found.position.as_ref().map_or(0, |position| position.line)
        })
        .collect();
    assert_eq!(lines, [10, 11, 11, 12, 13]);
    assert_eq!(analysis.graph.topics.len(), 1);
}
