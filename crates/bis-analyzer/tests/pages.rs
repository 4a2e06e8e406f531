//! Every code has a page, and the page's wrong program raises it while the right one does not.

mod common;

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

#[test]
fn the_wrong_program_raises_its_code_and_the_right_one_does_not() {
    for code in codes::ALL {
        let page = codes::explain(code).unwrap();
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        let (wrong, right) = programs(page);
        let found = common::codes(&wrong);
        assert!(found.contains(code), "{code} is not raised by its wrong program: {found:?}");
        let found = common::codes(&right);
        assert!(
            !found.contains(code),
            "{code} is raised by its right program: {}",
            common::diagnostics(&right)
        );
    }
}

#[test]
fn a_right_program_has_no_error() {
    for code in codes::ALL {
        let (_, right) = programs(codes::explain(code).unwrap());
        let analysis = common::analyze(&right);
        let no_source = !right.contains("//- src/");
        assert!(no_source || !analysis.has_errors(), "{code}: {}", common::diagnostics(&right));
    }
}
