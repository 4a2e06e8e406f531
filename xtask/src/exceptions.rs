//! What breaks a rule for a reason. The list may only shrink.

use crate::Finding;

/// One finding that is let pass.
pub struct Exception {
    /// The check that finds it.
    pub check: &'static str,
    /// Where it is, as the check says it.
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
        reason: "the fuzzer, which is not of this workspace, uses a part of it that the tests do not",
    },
];

/// Whether a finding at this place is let pass.
pub fn covers(check: &str, at: &str) -> bool {
    EXCEPTIONS.iter().any(|exception| exception.check == check && exception.at == at)
}

/// What is wrong with the list itself: an exception that nothing needs, or without a reason, and a list that grew.
pub fn check(findings: &[(&str, Finding)]) -> Vec<Finding> {
    let is_needed = |exception: &Exception| {
        findings.iter().any(|(check, finding)| *check == exception.check && finding.at == exception.at)
    };
    let unneeded = EXCEPTIONS.iter().filter(|exception| !is_needed(exception));
    let mut wrong: Vec<Finding> = unneeded
        .map(|exception| Finding::new(exception.at, "needs its exception no more: remove it"))
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
