//! Source that is nested deeply: read as far as the stack certainly suffices, reported beyond that, and never a crash. The depths
//! reach up to the limit and far over it, so that a limit above what the stack holds ends this test's process.

mod common;

use common::{codes, folder};

/// A way to nest: what is before the innermost part, and what after it, for each level; and what is around all.
struct Kind {
    around: (&'static str, &'static str),
    level: (&'static str, &'static str),
    inner: &'static str,
}

const fn kind(
    around: (&'static str, &'static str),
    level: (&'static str, &'static str),
    inner: &'static str,
) -> Kind {
    Kind { around, level, inner }
}

const FN: (&str, &str) = ("fn f() { let _ = ", "; }");
const TYPE: (&str, &str) = ("type T = ", ";");

const KINDS: [Kind; 24] = [
    kind(FN, ("(", ")"), "1"),
    kind(FN, ("[", "]"), "1"),
    kind(FN, ("{", "}"), "1"),
    kind(FN, ("!", ""), "x"),
    kind(FN, ("&", ""), "x"),
    kind(FN, ("|a| ", ""), "x"),
    kind(FN, ("return ", ""), "x"),
    kind(FN, ("if a { ", " }"), "x"),
    kind(FN, ("if a { b } else ", ""), "{ c }"),
    kind(FN, ("match a { _ => ", " }"), "x"),
    kind(FN, ("f(", ")"), "x"),
    kind(FN, ("", ".f()"), "x"),
    kind(FN, ("", "?"), "x"),
    kind(FN, ("", " + 1"), "x"),
    kind(FN, ("", " as u8"), "x"),
    kind(FN, ("a = ", ""), "x"),
    kind(FN, ("vec![", "]"), "x"),
    kind(TYPE, ("Vec<", ">"), "u8"),
    kind(TYPE, ("&'static ", ""), "u8"),
    kind(TYPE, ("(", ",)"), "u8"),
    kind(TYPE, ("fn() -> ", ""), "u8"),
    kind(("fn f() { let ", " = 1; }"), ("Some(", ")"), "x"),
    kind(("", ""), ("mod a { ", " }"), ""),
    kind(("const X: u64 = ", ";"), ("1 + (", ")"), "1"),
];

fn source(kind: &Kind, depth: usize) -> String {
    let Kind { around, level, inner } = kind;
    let body = format!("{}{inner}{}", level.0.repeat(depth), level.1.repeat(depth));
    let (before, after) = around;
    format!(
        "//- src/lib.rs\nmod orders {{ bis::service!(\"orders\"); }}\nmod deep;\nbis::app!(services: [orders]);\n//- src/deep.rs\n{before}{body}{after}\n"
    )
}

#[test]
fn no_depth_ends_the_process() {
    for kind in &KINDS {
        // The cost of a level is 1 to about 45, and 10,000 is the limit: the steps come close to it for every kind.
        for depth in [60, 230, 900, 2_400, 4_900, 9_900, 100_000] {
            let analysis = bis_analyzer::analyze(folder(&source(kind, depth)).path(), &Default::default());
            assert!(!analysis.has_errors());
            assert_eq!(analysis.graph.services.len(), 1);
            let found = codes(&analysis);
            let level = kind.level;
            assert!(depth > 60 || found.is_empty(), "{level:?} {depth}: {found:?}");
            assert!(depth < 100_000 || found == ["BIS0050"], "{level:?} {depth}: {found:?}");
        }
    }
}

#[test]
fn what_only_looks_deep_is_read() {
    let long = |part: &str| part.repeat(30_000);
    for harmless in [
        format!("/* {} */ // {}", long("("), long("[")),
        format!("const A: &str = \"{}\";", long("(")),
        format!("const A: &str = r##\"{}\"#\"##;", long("{")),
        format!("const A: [char; 30_000] = [{}];", long("'(', ")),
        format!("const A: [char; 30_000] = [{}];", long("'\\'', ")),
        format!("fn f<'a>() {{ {} }}", long("g::<'a>(b'(', b\"\\\"(\"); ")),
        long("fn f() { if a { b } match c { d => {} (e, f) => {} } }\n"),
        long("// \"\n"),
        format!("fn f() {{ match a {{ {} }} }}", long("(1, 2) => { 3 } \"4\" => { 5 }\n")),
        format!("const A: [u8; 30_000] = [{}];", long("1, ")),
    ] {
        let fixture = format!(
            "//- src/lib.rs\nmod orders {{ bis::service!(\"orders\"); }}\nmod flat;\nbis::app!(services: [orders]);\n//- src/flat.rs\n{harmless}\n"
        );
        let found = codes(&bis_analyzer::analyze(folder(&fixture).path(), &Default::default()));
        assert_eq!(found, [""; 0], "{}", &harmless[..60]);
    }
}
