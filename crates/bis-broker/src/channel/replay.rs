//! Moving the cursor by hand: back, so that messages come again, or forward over what is not wanted.

use super::Channel;
use super::held::State;

/// What [`Channel::rewind`] did, which is what an owner with a journal writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewound {
    /// Everything from this sequence on comes again: [`Channel::reopen`].
    Back {
        /// Where the cursor is now.
        to: u64,
        /// Where what was never replayed begins.
        end: u64,
    },
    /// What lay between was never handed out and is dropped: [`Channel::skip`].
    Forward {
        /// Where the cursor was.
        from: u64,
        /// Where it is now.
        to: u64,
        /// How many messages were dropped.
        dropped: u64,
    },
}

impl Channel {
    /// Moves the cursor to a sequence, or to the topic's end where that is lower.
    ///
    /// What the channel holds or has finished below the new place stays as it is. Going back, everything from there on is
    /// to come (again): see [`Channel::reopen`]. Going forward, what lies between is dropped: see [`Channel::skip`]. It is
    /// up to the owner that what is to come again is still stored: what is gone is passed over, counted as finished.
    pub fn rewind(&mut self, to: u64) -> Rewound {
        let to = to.min(self.end);
        if to <= self.cursor {
            self.reopen(to, self.end);
            return Rewound::Back { to, end: self.end };
        }
        let from = self.cursor;
        Rewound::Forward { from, to, dropped: self.skip(from, to) }
    }

    /// Everything from a sequence on is unfinished and comes (again), in order, that below `end` under the next generation: `end`
    /// is the channel's own, or what that was when an owner with a journal wrote the replay down.
    ///
    /// What is in flight stays with its consumer, keeps its count of attempts and its key, and is not handed out a second
    /// time. Everything else from there on is as if it had never been handed out: its attempts count from 1, a retry's
    /// wait is forgotten, a publish's own delay still holds.
    pub fn reopen(&mut self, from: u64, end: u64) {
        let from = from.min(self.end);
        self.generations.raise(from, end);
        let (floor, finished) = (self.floor, &self.finished);
        self.keys
            .retain(|sequence| sequence < floor || finished.contains(sequence), |sequence| sequence < from);
        self.far.retain(|sequence| sequence < from);
        self.recalled.split_off(&from);
        self.ahead.remove_from(from);
        let later: Vec<u64> = self.held.keys().copied().filter(|sequence| *sequence >= from).collect();
        for sequence in later {
            if self.held.get(&sequence).is_some_and(|held| matches!(held.state, State::InFlight { .. })) {
                self.ahead.insert(sequence);
            } else {
                self.take_out(sequence);
            }
        }
        self.forget_stale();
        self.finished.remove_from(from);
        self.floor = self.floor.min(from);
        self.cursor = self.cursor.min(from);
    }

    /// Drops every unfinished message of `from..to`, wherever it is, in flight too. They count neither as delivered nor
    /// as finished. Returns how many there were.
    pub fn skip(&mut self, from: u64, to: u64) -> u64 {
        let (from, to) = (from.max(self.floor), to.min(self.end));
        if from >= to {
            return 0;
        }
        let is_within = |sequence: u64| (from..to).contains(&sequence);
        let finished = self.finished.count_from(from) - self.finished.count_from(to);
        let (floor, set) = (self.floor, &self.finished);
        self.keys
            .retain(|sequence| sequence < floor || set.contains(sequence), |sequence| !is_within(sequence));
        self.far.retain(|sequence| !is_within(sequence));
        self.recalled.retain(|sequence, _| !is_within(*sequence));
        let held: Vec<u64> = self.held.keys().copied().filter(|sequence| is_within(*sequence)).collect();
        for sequence in held {
            self.take_out(sequence);
        }
        self.forget_stale();
        self.ahead.remove_range(from, to);
        if from == self.floor {
            self.raise_floor(to);
        } else {
            self.finished.insert_range(from, to);
        }
        to - from - finished
    }

    /// Takes out of the lines what is not held any more.
    fn forget_stale(&mut self) {
        let held = &self.held;
        self.ready.retain(|sequence| held.contains_key(sequence));
        self.suspects.retain(|sequence| held.contains_key(sequence));
    }

    /// Drops what lies below `sequence`, held or not, in flight or not: retention took it, or the channel was emptied.
    /// Returns how many messages were dropped.
    pub fn forget_below(&mut self, sequence: u64) -> u64 {
        self.skip(self.floor, sequence)
    }

    /// Drops every message that the channel has, those in flight too. Returns how many there were.
    pub fn empty(&mut self) -> u64 {
        self.forget_below(self.end)
    }
}
