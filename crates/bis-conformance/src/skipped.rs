//! What did not run, and why: one list at the end of a run. It decides nothing about what may be skipped.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, PoisonError},
};

static SKIPPED: Mutex<BTreeSet<Skip>> = Mutex::new(BTreeSet::new());

/// One case that did not apply to one broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    /// The broker's name in the run.
    pub broker: String,
    /// The case.
    pub case: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, case, why } = self;
        write!(f, "{broker}::{case}: {why}")
    }
}

/// Notes that a case was skipped.
pub fn note_skip(broker: &str, case: &str, why: impl Into<String>) {
    let skip = Skip { broker: broker.to_owned(), case: case.to_owned(), why: why.into() };
    println!("skipped: {skip}");
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).insert(skip);
}

/// All that was skipped so far in this process.
pub fn skipped() -> Vec<Skip> {
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}
