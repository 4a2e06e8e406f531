//! What statistics show of the journal as a whole. It only reads.

use super::State;

/// Numbers of the whole journal, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Files of the journal.
    pub segments: usize,
    /// Bytes in sealed segments.
    pub sealed_bytes: u64,
    /// Bytes in sealed segments with something unhandled.
    pub backlog_bytes: u64,
    /// Bytes that wait for the next commit.
    pub uncommitted_bytes: usize,
    /// Unhandled messages that live on as copies, so that old segments can go.
    pub moved_messages: usize,
    /// Damaged places that were set aside since the start.
    pub damaged: u64,
    /// Reads that have failed since the start.
    pub read_errors: u64,
    /// Unhandled messages that were dropped since the start.
    pub dropped: u64,
    /// Publishes that were recognized as an event that was published before, since the start.
    pub duplicates: u64,
}

impl State {
    /// The numbers of the whole journal.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            segments: self.log.sealed().count() + 1,
            sealed_bytes: self.log.sealed_bytes(),
            backlog_bytes: self.backlog_bytes(),
            uncommitted_bytes: self.uncommitted(),
            moved_messages: self.log.moved().len(),
            damaged: self.log.damaged(),
            read_errors: self.log.read_errors(),
            dropped: self.dropped(),
            duplicates: self.dedup.duplicates(),
        }
    }
}
