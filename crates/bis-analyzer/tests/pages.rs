//! Every code has a page, and the page's wrong program raises it while the right one does not.

mod common;

use bis_analyzer::Analysis;
use bis_core::BrokerKind;
use bis_graph::codes;

/// The two code blocks of a page.
fn programs(page: &str) -> (String, String) {
    let mut blocks = page.split("```");
    let mut next = || {
        let block = blocks.nth(1).expect("a page has two code blocks");
        block.split_once('\n').expect("a block has its language").1.to_owned()
    };
    (next(), next())
}

/// Analyses a page's program, for the broker that its first line names.
fn analyze(program: &str) -> Analysis {
    let Some(rest) = program.strip_prefix("// bis check --broker ") else { return common::analyze(program) };
    let (broker, program) = rest.split_once('\n').expect("a program after its first line");
    let broker: BrokerKind = serde_json::from_value(broker.into()).expect("a broker's name");
    common::analyze_for(program, Some(broker))
}

/// Codes that no page's program can raise: one would be too long, the other takes a build.
const NOT_RAISED: [&str; 2] = [codes::TOO_DEEP, codes::OTHER_PROGRAM];

#[test]
fn the_wrong_program_raises_its_code_and_the_right_one_does_not() {
    for code in codes::ALL {
        let page = codes::explain(code).unwrap();
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        let (wrong, right) = programs(page);
        let found = common::codes(&analyze(&wrong));
        assert!(
            found.contains(code) || NOT_RAISED.contains(code),
            "{code} is not raised by its wrong program: {found:?}"
        );
        let right = analyze(&right);
        let found = common::codes(&right);
        assert!(!found.contains(code), "{code} is raised by its right program: {}", common::text(&right));
    }
}

#[test]
fn a_right_program_has_no_error() {
    for code in codes::ALL {
        let (_, right) = programs(codes::explain(code).unwrap());
        let analysis = analyze(&right);
        let no_source = !right.contains("//- src/");
        assert!(no_source || !analysis.has_errors(), "{code}: {}", common::text(&analysis));
    }
}
