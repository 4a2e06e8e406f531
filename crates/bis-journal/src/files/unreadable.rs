//! Which read errors were reported, so that a bad disk does not fill the log. It reads nothing and logs nothing itself.

use std::collections::HashMap;

/// How long a segment that cannot be read is not reported again.
const PAUSE_NS: u64 = 60_000_000_000;

/// When the read errors of segments were reported last.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// By segment, and whether a message was named; nanoseconds since 1970.
    reported: HashMap<(u64, bool), u64>,
}

impl Unreadable {
    /// Whether an error is to be reported now; it counts as reported then. The first one that names a message always is,
    /// whatever the background's reading, which names none, has reported of that segment.
    pub(crate) fn is_due(&mut self, segment: u64, names_message: bool, now: u64) -> bool {
        let kind = (segment, names_message);
        let is_due = self.reported.get(&kind).is_none_or(|last| now.abs_diff(*last) >= PAUSE_NS);
        if is_due {
            self.reported.insert(kind, now);
        }
        is_due
    }

    /// A segment no longer exists.
    pub(crate) fn forget(&mut self, segment: u64) {
        self.reported.retain(|(reported, _), _| *reported != segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_names_a_message_is_never_hidden() {
        let mut unreadable = Unreadable::default();
        assert!(unreadable.is_due(1, false, 0));
        assert!(unreadable.is_due(1, true, 1), "another kind");
        assert!(unreadable.is_due(2, true, 1), "another segment");
        assert!(!unreadable.is_due(1, true, PAUSE_NS) && !unreadable.is_due(1, false, PAUSE_NS - 1));
        assert!(unreadable.is_due(1, true, PAUSE_NS + 1));
        unreadable.forget(1);
        assert!(unreadable.is_due(1, false, 2) && !unreadable.is_due(2, true, 2));
    }
}
