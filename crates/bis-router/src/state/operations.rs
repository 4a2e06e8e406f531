//! What happened on a channel, as bytes in the journal and back.

use bis_broker::channel::{Channel, Recalled, Time};

use crate::journal::record::{read_u32, read_u64};

const FINISHED: u8 = 1;
const ATTEMPTS: u8 = 2;
const FORGOT: u8 = 3;
const PAUSED: u8 = 4;
const UNPAUSED: u8 = 5;
const REOPENED: u8 = 6;
const SKIPPED: u8 = 7;

/// Operations of one channel that are not yet in the journal.
#[derive(Debug, Default)]
pub(crate) struct Operations(Vec<u8>);

impl Operations {
    /// A message was finished.
    pub(crate) fn finished(&mut self, sequence: u64) {
        self.0.push(FINISHED);
        self.0.extend_from_slice(&sequence.to_le_bytes());
    }

    /// A message has so many attempts, and is due at a time.
    pub(crate) fn attempts(&mut self, sequence: u64, attempts: u32, due: Time) {
        self.0.push(ATTEMPTS);
        self.0.extend_from_slice(&sequence.to_le_bytes());
        self.0.extend_from_slice(&attempts.to_le_bytes());
        self.0.extend_from_slice(&due.0.to_le_bytes());
    }

    /// Everything below was dropped.
    pub(crate) fn forgot(&mut self, below: u64) {
        self.0.push(FORGOT);
        self.0.extend_from_slice(&below.to_le_bytes());
    }

    /// Everything from a sequence on comes again.
    pub(crate) fn reopened(&mut self, from: u64) {
        self.0.push(REOPENED);
        self.0.extend_from_slice(&from.to_le_bytes());
    }

    /// What was unfinished of a range was dropped.
    pub(crate) fn skipped(&mut self, from: u64, to: u64) {
        self.0.push(SKIPPED);
        self.0.extend_from_slice(&from.to_le_bytes());
        self.0.extend_from_slice(&to.to_le_bytes());
    }

    /// The channel was paused, or not any more.
    pub(crate) fn paused(&mut self, paused: bool) {
        self.0.push(if paused { PAUSED } else { UNPAUSED });
    }

    /// The body of a record that pauses a channel.
    pub(crate) fn pause_of(channel: u32) -> Vec<u8> {
        let mut body = channel.to_le_bytes().to_vec();
        body.push(PAUSED);
        body
    }

    /// The body of the record, and an empty list from now on; `None` when nothing happened.
    pub(crate) fn take(&mut self, channel: u32) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut body = Vec::with_capacity(4 + self.0.len());
        body.extend_from_slice(&channel.to_le_bytes());
        body.append(&mut self.0);
        Some(body)
    }
}

/// Does to a restored channel what the record's body lists, as far as it can be read.
pub(crate) fn apply(channel: &mut Channel, mut body: &[u8]) {
    while let Some((kind, rest)) = body.split_first() {
        let length = match *kind {
            FINISHED | FORGOT | REOPENED => 8,
            SKIPPED => 16,
            ATTEMPTS => 20,
            PAUSED | UNPAUSED => 0,
            _ => return,
        };
        if rest.len() < length {
            return;
        }
        match *kind {
            FINISHED => channel.recall_finished(read_u64(rest, 0)),
            FORGOT => {
                channel.forget_below(read_u64(rest, 0));
            }
            REOPENED => channel.reopen(read_u64(rest, 0)),
            SKIPPED => {
                // A paused topic may have shown the channel less.
                channel.extend(read_u64(rest, 8));
                channel.skip(read_u64(rest, 0), read_u64(rest, 8));
            }
            ATTEMPTS => channel.recall(Recalled {
                sequence: read_u64(rest, 0),
                attempts: read_u32(rest, 8),
                due: Time(read_u64(rest, 12)),
            }),
            PAUSED => channel.pause(),
            _ => channel.unpause(),
        }
        body = &rest[length..];
    }
}
