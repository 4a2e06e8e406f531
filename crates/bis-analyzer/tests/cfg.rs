//! What is in the build: the target's cfgs, features, and what is unknown before the build.

mod common;

use bis_analyzer::{Options, Target};
use common::ORDERS;

/// The subscriptions under these predicates, each with its condition, and the codes of what was found.
fn under(predicates: &[&str], files: &str, target: Option<Target>) -> (Vec<String>, Vec<&'static str>) {
    let mut fixture = ORDERS.to_owned();
    for (index, predicate) in predicates.iter().enumerate() {
        fixture.push_str(&format!(
            "#[cfg({predicate})]\n#[subscription(PLACED, name = \"s{index}\")]\nasync fn s{index}(_: Placed) -> Result<()> {{ Ok(()) }}\n"
        ));
    }
    fixture.push_str(files);
    let options = Options { target, ..Options::default() };
    let analysis = bis_analyzer::analyze(common::folder(&fixture).path(), &options);
    let shown = analysis.graph.subscriptions.iter().filter(|one| one.name != "ship").map(|one| {
        let condition = one.condition.as_ref().map(|condition| format!(" if {condition}"));
        let index: usize = one.name[1..].parse().unwrap_or_default();
        format!("{}{}", predicates[index], condition.unwrap_or_default())
    });
    (shown.collect(), common::codes(&analysis))
}

#[test]
fn the_targets_cfgs_are_those_of_rustc() {
    let lines =
        ["debug_assertions", "unix", "target_env=\"musl\"", "target_feature=\"sse2\"", "panic=\"unwind\""];
    let target = Target { triple: None, cfg: lines.map(str::to_owned).to_vec() };
    let predicates = [
        "target_env = \"musl\"",
        "target_env = \"gnu\"",
        "target_feature = \"sse2\"",
        "target_feature = \"avx\"",
        "not(windows)",
        "target_pointer_width = \"128\"",
        "debug_assertions",
        "all(unix, not(test), any(panic = \"abort\", true))",
        "false",
    ];
    let (shown, found) = under(&predicates, "", Some(target));
    assert_eq!(shown, [predicates[0], predicates[2], predicates[4], predicates[6], predicates[7]]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn without_rustc_this_machine_counts() {
    let predicates = [
        "target_pointer_width = \"64\"",
        "not(target_pointer_width = \"64\")",
        "target_endian = \"little\"",
        "target_has_atomic = \"64\"",
    ];
    let (shown, found) = under(&predicates, "", None);
    assert_eq!(shown, [predicates[0], predicates[2], predicates[3]]);
    assert_eq!(found, [""; 0]);
    let (shown, found) = under(&["target_vendor = \"apple\""], "", None);
    assert_eq!(shown, ["target_vendor = \"apple\" if target_vendor = \"apple\""]);
    assert_eq!(found, ["BIS0051"]);
}

#[test]
fn what_a_build_script_or_rustflags_set_is_unknown() {
    let custom = ["from_script", "not(from_script)", "backend = \"b\"", "all(from_script, windows, test)"];
    assert_eq!(under(&custom, "", None).0, ["not(from_script)"]);
    for file in [
        "//- build.rs\nfn main() {}\n",
        "//- .cargo/config.toml\n[build]\nrustflags = [\"--cfg\", \"from_script\"]\n",
        "//- .cargo/config.toml\n[target.'cfg(unix)']\nrustflags = \"--cfg from_script\"\n",
    ] {
        let (shown, found) = under(&custom, file, None);
        assert_eq!(
            shown,
            [
                "from_script if from_script",
                "not(from_script) if not(from_script)",
                "backend = \"b\" if backend = \"b\""
            ],
            "{file}"
        );
        assert_eq!(found, ["BIS0051"; 3], "{file}");
    }
    let linker = "//- .cargo/config.toml\n[build]\nrustflags = [\"-C\", \"link-arg=-fuse-ld=mold\"]\n";
    assert_eq!(under(&custom, linker, None).0, ["not(from_script)"]);
}

#[test]
fn of_two_that_exclude_each_other_none_is_wrong() {
    let source = r#"
#[cfg(fast)]
pub static SENT: Topic<Placed> = Topic::new("sent");
#[cfg(not(fast))]
pub static SENT: Topic<Placed> = Topic::new("sent");
#[cfg(fast)]
#[subscription(SENT, name = "on")]
async fn on(event: Placed) -> Result<()> { SENT.publish(&event).await }
#[cfg(not(fast))]
#[subscription(SENT, name = "on")]
async fn on(event: Placed) -> Result<()> { SENT.publish(&event).await }
#[cfg(fast)]
mod gone;
#[cfg(fast)]
#[api(GET, "/a", public)]
async fn a() -> Result<()> { Ok(()) }
#[cfg(not(fast))]
#[api(GET, "/a", public)]
async fn a() -> Result<()> { Ok(()) }
//- build.rs
fn main() {}
"#;
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert!(!analysis.has_errors(), "{}", common::text(&analysis));
}

#[test]
fn a_module_under_an_unknown_cfg_is_told_once() {
    let source = r#"
#[cfg(extra)]
pub mod extra {
    use super::*;
    #[subscription(PLACED, name = "one")]
    async fn one(_: Placed) -> Result<()> { Ok(()) }
    #[subscription(PLACED, name = "two")]
    async fn two(_: Placed) -> Result<()> { Ok(()) }
}
//- build.rs
fn main() {}
"#;
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert_eq!(common::codes(&analysis), ["BIS0051"]);
    let conditional =
        analysis.graph.subscriptions.iter().filter(|one| one.condition.as_deref() == Some("extra"));
    assert_eq!(conditional.count(), 2);
}

#[test]
fn an_attribute_under_an_unknown_cfg_is_told() {
    let source = "
#[cfg_attr(extra, subscription(PLACED, name = \"extra\"))]
async fn extra(_: Placed) -> Result<()> { Ok(()) }
//- build.rs
fn main() {}
";
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert_eq!(common::codes(&analysis), ["BIS0051"]);
    let condition = analysis.graph.subscriptions.iter().find_map(|one| one.condition.as_deref());
    assert_eq!(condition, Some("extra"));
}
