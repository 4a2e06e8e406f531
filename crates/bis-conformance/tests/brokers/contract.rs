//! The suite itself: every line of the contract has cases, the table in the crate's documentation names them, and what
//! the in-process broker does not run is tagged.

use std::fmt::Write as _;

use bis_conformance::{CASES, Kind, Promise, Tag};
use libtest_mimic::Trial;

use crate::{BROKERS, app, everything, trial};

/// The crate's own documentation.
const DOCUMENTATION: &str = include_str!("../../src/lib.rs");

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("contract", "every_line_has_a_case", every_line_has_a_case),
        trial("contract", "the_table_names_every_case", the_table_names_every_case),
        trial(
            "contract",
            "in_process_runs_every_case_without_a_tag",
            in_process_runs_every_case_without_a_tag,
        ),
    ]
}

fn every_line_has_a_case() {
    for promise in Promise::ALL {
        assert!(everything().any(|case| case.promises.contains(promise)), "{promise:?} has no case");
    }
}

fn the_table_names_every_case() {
    let table = table();
    let documented: String = DOCUMENTATION
        .lines()
        .filter(|line| line.starts_with("//! |"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(documented == table, "the table in `src/lib.rs` is to be:\n{table}");
}

/// The table of the documentation, made from the cases.
fn table() -> String {
    let mut table = "//! | line | cases |\n//! |---|---|\n".to_owned();
    for promise in Promise::ALL {
        let cases = everything().filter(|case| case.promises.contains(promise)).map(|case| {
            let tags: Vec<_> = case.tags.iter().map(|tag| format!(" ({tag})")).collect();
            format!("`{}`{}", case.name, tags.concat())
        });
        let cases: Vec<_> = cases.collect();
        writeln!(table, "//! | {} | {} |", promise.text(), cases.join(", ")).expect("text takes text");
    }
    table
}

/// In-process is what people test on: it must not be exempt from what other brokers are tested for.
fn in_process_runs_every_case_without_a_tag() {
    let text = include_str!("skipped.txt");
    for skipped in text.lines().filter_map(|line| line.strip_prefix("in_process::")) {
        let (name, _) = skipped.split_once(": ").expect("a line of the list");
        let bare = CASES.iter().find(|case| case.name == name).map(|case| case.tags);
        let tags = bare.or_else(|| app::CASES.iter().find(|case| case.name == name).map(|case| case.tags));
        let tags = tags.expect("only cases are skipped");
        assert!(
            tags.contains(&Tag::MultiProcess) || tags.contains(&Tag::Durable),
            "`{name}` does not run in process, and has no tag that says so"
        );
    }
    let Kind { name, .. } = BROKERS[0].kind;
    assert_eq!(name, "in_process");
}
