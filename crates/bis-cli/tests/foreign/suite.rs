//! A foreign suite's result: which of its tests ran, and which of them passed.

use std::collections::BTreeMap;

/// Tests by name; `true` when passed.
#[derive(Debug, Default)]
pub(crate) struct Outcome(BTreeMap<String, bool>);

impl Outcome {
    /// A test that has begun and not reported its result yet.
    pub(crate) fn started(&mut self, test: &str) {
        self.0.insert(test.to_owned(), false);
    }

    pub(crate) fn ended(&mut self, test: &str, passed: bool) {
        self.0.insert(test.to_owned(), passed);
    }

    /// The tests that did not pass.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, passed)| !**passed).map(|(name, _)| name.as_str())
    }

    /// Fails with the names of the tests that did not pass and the suite's own output; `count` tests must have run.
    ///
    /// # Panics
    /// When not all passed.
    pub(crate) fn check(&self, suite: &str, count: usize, output: &str) {
        let failed: Vec<&str> = self.failed().collect();
        let passed = self.0.len() - failed.len();
        assert!(
            failed.is_empty() && passed == count,
            "{suite}: {passed} of {count} passed, {} ran; failed: {failed:#?}\n{output}",
            self.0.len(),
        );
        println!("{suite}: {passed} of {count} passed");
    }
}
