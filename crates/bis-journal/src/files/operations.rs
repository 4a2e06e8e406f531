//! What happened on a channel, as bytes in the journal and back.

use bis_broker::channel::{Channel, Recalled, Time};

use super::record::{read_u32, read_u64};

const FINISHED: u8 = 1;
const ATTEMPTS: u8 = 2;
const FORGOT: u8 = 3;
const PAUSED: u8 = 4;
const UNPAUSED: u8 = 5;
const REOPENED: u8 = 6;
const SKIPPED: u8 = 7;
const REPLAYED: u8 = 8;

/// Operations of one channel that are not yet in the journal.
#[derive(Debug, Default)]
pub(crate) struct Operations(Vec<u8>);

impl Operations {
    /// A message was finished.
    pub(crate) fn finished(&mut self, sequence: u64) {
        self.0.push(FINISHED);
        self.0.extend_from_slice(&sequence.to_le_bytes());
    }

    /// A message came back: its attempts and crashes, when it is due, and whether it is a suspect.
    pub(crate) fn recalled(&mut self, recalled: &Recalled) {
        let Recalled { sequence, due, .. } = recalled;
        self.0.push(ATTEMPTS);
        self.0.extend_from_slice(&sequence.to_le_bytes());
        self.0.extend_from_slice(&marked_attempts(recalled).to_le_bytes());
        self.0.extend_from_slice(&due.0.to_le_bytes());
    }

    /// Everything below was dropped.
    pub(crate) fn forgot(&mut self, below: u64) {
        self.0.push(FORGOT);
        self.0.extend_from_slice(&below.to_le_bytes());
    }

    /// Everything from a sequence on comes again; what is below `end` was replayed.
    pub(crate) fn reopened(&mut self, from: u64, end: u64) {
        self.0.push(REPLAYED);
        self.0.extend_from_slice(&from.to_le_bytes());
        self.0.extend_from_slice(&end.to_le_bytes());
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

/// The bit of a suspect beside its attempts, in the journal and in checkpoints.
const SUSPECT: u32 = 1 << 31;
/// Where its crashes are, above the attempts.
const CRASHES_AT: u32 = 24;
/// The most crashes that are written down.
const MAX_CRASHES: u32 = 127;
/// The most attempts that are written down.
const MAX_ATTEMPTS: u32 = (1 << CRASHES_AT) - 1;

/// The attempts of a message with its crashes and the mark of a suspect.
pub(crate) fn marked_attempts(recalled: &Recalled) -> u32 {
    let suspect = if recalled.suspect { SUSPECT } else { 0 };
    recalled.attempts.min(MAX_ATTEMPTS) | recalled.crashes.min(MAX_CRASHES) << CRASHES_AT | suspect
}

/// Reads [`marked_attempts`].
pub(crate) fn recalled(sequence: u64, marked_attempts: u32, due: Time) -> Recalled {
    let suspect = marked_attempts & SUSPECT != 0;
    let crashes = marked_attempts >> CRASHES_AT & MAX_CRASHES;
    Recalled { sequence, attempts: marked_attempts & MAX_ATTEMPTS, due, suspect, crashes }
}

/// Does to a restored channel what the record's body lists, as far as it can be read.
pub(crate) fn apply(channel: &mut Channel, mut body: &[u8]) {
    while let Some((kind, rest)) = body.split_first() {
        let length = match *kind {
            FINISHED | FORGOT | REOPENED => 8,
            SKIPPED | REPLAYED => 16,
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
            // As earlier versions wrote a replay.
            REOPENED => channel.reopen(read_u64(rest, 0), channel.end()),
            REPLAYED => channel.reopen(read_u64(rest, 0), read_u64(rest, 8)),
            SKIPPED => {
                // A paused topic may have shown the channel less.
                channel.extend(read_u64(rest, 8));
                channel.skip(read_u64(rest, 0), read_u64(rest, 8));
            }
            ATTEMPTS => {
                channel.recall(recalled(read_u64(rest, 0), read_u32(rest, 8), Time(read_u64(rest, 12))));
            }
            PAUSED => channel.pause(),
            _ => channel.unpause(),
        }
        body = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use bis_broker::channel::Limits;

    use super::*;

    #[test]
    fn attempts_and_suspicion_are_read_as_they_were_written() {
        let all = [(0, 0, 1, true), (1, 3, 0, false), (2, MAX_ATTEMPTS, MAX_CRASHES, true)];
        let all = all.map(|(sequence, attempts, crashes, suspect)| Recalled {
            sequence,
            attempts,
            due: Time(u64::from(attempts)),
            suspect,
            crashes,
        });
        let mut operations = Operations::default();
        all.iter().for_each(|recalled| operations.recalled(recalled));
        let mut channel = Channel::new(0, Limits::default());
        channel.extend(3);
        apply(&mut channel, &operations.take(1).unwrap()[4..]);
        assert_eq!(channel.snapshot().recalled, all);
    }
}
