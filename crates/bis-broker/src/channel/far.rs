//! Messages whose first delivery lies more than a minute or so ahead: in one list a span of 69 seconds, at one to three
//! bytes each and a bit. Of a list whose time has come, each message's facts are asked for again.
//!
//! Only sequences are kept here.

use std::collections::BTreeMap;

use super::sequence_list::SequenceList;
use super::sequence_set::SequenceSet;
use super::{SequenceSetError, Time};

/// A list holds what is due within the same 2^36 nanoseconds.
const SPAN_BITS: u32 = 36;

/// The lists, and which sequences are in them.
#[derive(Debug, Default)]
pub(super) struct Far {
    lists: BTreeMap<u64, SequenceList>,
    /// Who really is here; the lists may hold more.
    members: SequenceSet,
    len: u64,
    bytes: usize,
}

impl Far {
    /// Whether a message that is due then belongs here.
    pub(super) fn is_far(due: Time, now: Time) -> bool {
        due.0 >> SPAN_BITS > now.0 >> SPAN_BITS
    }

    /// Takes a message.
    pub(super) fn add(&mut self, sequence: u64, due: Time) {
        let list = self.lists.entry(due.0 >> SPAN_BITS).or_default();
        self.bytes -= list.bytes();
        if !list.push(sequence) {
            // Out of order: an owner whose clock went back, for one. Order is made anew, since it must hold.
            let mut all = vec![sequence];
            all.extend(std::iter::from_fn(|| list.pop()));
            all.sort_unstable();
            all.into_iter().for_each(|sequence| {
                list.push(sequence);
            });
        }
        self.bytes += list.bytes();
        self.len += u64::from(self.members.insert(sequence));
    }

    /// The next message of a list whose time has come. It stays until it is taken out.
    pub(super) fn first_due(&mut self, now: Time) -> Option<u64> {
        loop {
            let mut entry = self.lists.first_entry().filter(|entry| *entry.key() <= now.0 >> SPAN_BITS)?;
            let list = entry.get_mut();
            match list.first() {
                None => {
                    self.bytes -= entry.remove().bytes();
                }
                Some(sequence) if self.members.contains(sequence) => return Some(sequence),
                Some(_) => {
                    self.bytes -= list.bytes();
                    list.pop();
                    self.bytes += list.bytes();
                }
            }
        }
    }

    /// Takes a message out; false when it is not here.
    pub(super) fn remove(&mut self, sequence: u64) -> bool {
        let was_here = self.members.remove(sequence);
        self.len -= u64::from(was_here);
        was_here
    }

    /// Takes everything out that does not pass.
    pub(super) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        if self.len == 0 {
            return;
        }
        let members = std::mem::take(&mut self.members);
        (self.len, self.bytes) = (0, 0);
        self.lists.retain(|_, list| {
            list.retain(|sequence| {
                let stays = members.contains(sequence) && keep(sequence);
                if stays {
                    self.len += u64::from(self.members.insert(sequence));
                }
                stays
            });
            self.bytes += list.bytes();
            list.len() > 0
        });
    }

    /// When the first list comes whose time has not come at `now`.
    pub(super) fn next_after(&self, now: Time) -> Option<Time> {
        let (span, _) = self.lists.range((now.0 >> SPAN_BITS) + 1..).next()?;
        Some(Time(span << SPAN_BITS))
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.len > 0 && self.members.contains(sequence)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many are not below a sequence.
    pub(super) fn count_from(&self, sequence: u64) -> u64 {
        if self.len == 0 { 0 } else { self.members.count_from(sequence) }
    }

    /// The memory of the lists.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What must survive a restart: for each list its time and its sequences as a set's bytes.
    pub(super) fn to_snapshot(&self) -> Vec<(Time, Vec<u8>)> {
        let lists = self.lists.iter().map(|(span, list)| {
            let mut set = SequenceSet::default();
            list.clone().retain(|sequence| {
                if self.members.contains(sequence) {
                    set.insert(sequence);
                }
                false
            });
            (Time(span << SPAN_BITS), set.to_bytes())
        });
        lists.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    /// Reads what [`Far::to_snapshot`] wrote.
    pub(super) fn from_snapshot(snapshot: &[(Time, Vec<u8>)]) -> Result<Self, SequenceSetError> {
        let mut far = Self::default();
        for (due, bytes) in snapshot {
            let set = SequenceSet::from_bytes(bytes)?;
            set.runs().flat_map(|(start, end)| start..end).for_each(|sequence| far.add(sequence, *due));
        }
        Ok(far)
    }
}
