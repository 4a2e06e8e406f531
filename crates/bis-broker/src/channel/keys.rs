//! Order by key: one message of a key leads, the others are parked behind it in the order of their sequences, at one to
//! three bytes each. Only sequences are kept here; what a message is, the channel asks again when it comes to lead.
//!
//! A parked message may be finished meanwhile: the caller that takes the next one says which are.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::sequence_list::SequenceList;

/// About what an entry of a set costs.
const EARLY_BYTES: usize = 24;

/// The keys of which a message leads. Keys come from outside, so the map's hasher is the standard one.
#[derive(Debug, Default)]
pub(super) struct Keys {
    leading: HashMap<u64, Option<Box<Parked>>>,
    parked: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Parked {
    list: SequenceList,
    /// Those that came when later ones were parked already: they had waited for their time.
    early: BTreeSet<u64>,
}

impl Parked {
    fn pop(&mut self) -> Option<u64> {
        match (self.early.first(), self.list.first()) {
            (Some(early), Some(listed)) if *early > listed => self.list.pop(),
            (Some(_), _) => self.early.pop_first(),
            (None, _) => self.list.pop(),
        }
    }

    fn bytes(&self) -> usize {
        self.list.bytes() + self.early.len() * EARLY_BYTES
    }
}

impl Keys {
    /// Makes a message the one that leads its key; false when another does.
    pub(super) fn lead(&mut self, key: u64) -> bool {
        match self.leading.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(None);
                true
            }
        }
    }

    /// Parks a message behind the one that leads.
    pub(super) fn park(&mut self, key: u64, sequence: u64) {
        let parked = self.leading.entry(key).or_default().get_or_insert_default();
        self.bytes -= parked.bytes();
        if !parked.list.push(sequence) {
            parked.early.insert(sequence);
        }
        self.bytes += parked.bytes();
        self.parked += 1;
    }

    /// The message that leads the key leaves. Returns the one that leads next: the first parked one that is not finished.
    pub(super) fn leave(&mut self, key: u64, is_finished: impl Fn(u64) -> bool) -> Option<u64> {
        let waiting = self.leading.get_mut(&key)?;
        if let Some(parked) = waiting {
            self.bytes -= parked.bytes();
            while let Some(next) = parked.pop() {
                if !is_finished(next) {
                    self.parked -= 1;
                    self.bytes += parked.bytes();
                    return Some(next);
                }
            }
        }
        self.leading.remove(&key);
        None
    }

    /// A parked message was finished.
    pub(super) fn finished_one(&mut self) {
        self.parked -= 1;
    }

    /// Drops every parked message that does not pass; those that are finished are not counted any more.
    pub(super) fn retain(&mut self, is_finished: impl Fn(u64) -> bool, keep: impl Fn(u64) -> bool) {
        (self.parked, self.bytes) = (0, 0);
        for parked in self.leading.values_mut().flatten() {
            let keep = |sequence: u64| keep(sequence) && !is_finished(sequence);
            parked.list.retain(keep);
            parked.early.retain(|sequence| keep(*sequence));
            self.parked += parked.list.len() + parked.early.len() as u64;
            self.bytes += parked.bytes();
        }
    }

    /// How many are parked and not finished.
    pub(super) fn parked(&self) -> u64 {
        self.parked
    }

    /// The memory of what is parked.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
