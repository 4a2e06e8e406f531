//! Findings that are accepted for a reason. The list may only shrink.

use crate::Finding;

/// One accepted finding.
pub struct Exception {
    /// The check that finds it.
    pub check: &'static str,
    /// Where it is, as reported by the check.
    pub at: &'static str,
    /// Why it is better as it is.
    pub reason: &'static str,
}

/// How many exceptions there are. Lower it with the list; never raise it.
const MOST: usize = 2;

const EXCEPTIONS: &[Exception] = &[
    Exception {
        check: "allows",
        at: "crates/bis-router/tests/support/mod.rs",
        reason: "each test program uses a part of it, and `expect` complains in the one that uses everything",
    },
    Exception {
        check: "allows",
        at: "crates/bis-journal/tests/support/damage.rs",
        reason: "the fuzzer, which is not part of this workspace, uses a part of it that the tests do not",
    },
];

/// Whether a finding at this place is accepted.
pub fn covers(check: &str, at: &str) -> bool {
    EXCEPTIONS.iter().any(|exception| exception.check == check && exception.at == at)
}

/// What is wrong with the list itself: exceptions that are not needed or have no reason, and growth of the list.
pub fn check(findings: &[(&str, Finding)]) -> Vec<Finding> {
    let is_needed = |exception: &Exception| {
        findings.iter().any(|(check, finding)| *check == exception.check && finding.at == exception.at)
    };
    let unneeded = EXCEPTIONS.iter().filter(|exception| !is_needed(exception));
    let mut wrong: Vec<Finding> = unneeded
        .map(|exception| Finding::new(exception.at, "no longer needs its exception: remove it"))
        .collect();
    let bare = EXCEPTIONS.iter().filter(|exception| exception.reason.is_empty());
    wrong.extend(bare.map(|exception| Finding::new(exception.at, "is an exception without a reason")));
    if EXCEPTIONS.len() != MOST {
        let what =
            format!("has {} exceptions where `MOST` says {MOST}: it may only be lowered", EXCEPTIONS.len());
        wrong.push(Finding::new("xtask/src/exceptions.rs", what));
    }
    wrong
}
