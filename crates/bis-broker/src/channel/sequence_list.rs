//! A list of rising sequences that is read from its front, at one to three bytes each where they lie close: what waits
//! behind an ordering key, or for a time that is far. It knows nothing of messages.

use crate::varint;

/// Read bytes are given back once there are more of them than of those left, and than this.
const SPARE: usize = 64;

/// Rising sequences, first in, first out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SequenceList {
    /// The distance of each from the one before; the first is told apart.
    bytes: Vec<u8>,
    read: usize,
    first: u64,
    last: u64,
    count: u64,
}

impl SequenceList {
    /// Adds a sequence; false, and nothing happens, when it is not above the last one.
    pub(super) fn push(&mut self, sequence: u64) -> bool {
        if self.count == 0 {
            *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
            self.bytes.clear();
            (self.first, self.last) = (sequence, sequence);
        } else if sequence > self.last {
            varint::put(&mut self.bytes, sequence - self.last);
            self.last = sequence;
        } else {
            return false;
        }
        self.count += 1;
        true
    }

    /// The sequence at the front.
    pub(super) fn first(&self) -> Option<u64> {
        (self.count > 0).then_some(self.first)
    }

    /// Takes the sequence at the front.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let first = self.first()?;
        self.count -= 1;
        let mut rest = &self.bytes[self.read..];
        let before = rest.len();
        if self.count > 0 {
            self.first += varint::take(&mut rest).expect("each sequence but the first has its distance");
        }
        self.read += before - rest.len();
        if self.count == 0 {
            *self = Self::default();
        } else if self.read > SPARE && self.read > self.bytes.len() / 2 {
            self.bytes.drain(..self.read);
            self.bytes.shrink_to(2 * self.bytes.len());
            self.read = 0;
        }
        Some(first)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// The memory that the distances take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops what does not pass.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        let mut kept = Self::default();
        while let Some(sequence) = self.pop() {
            if keep(sequence) {
                kept.push(sequence);
            }
        }
        *self = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_small() {
        let mut list = SequenceList::default();
        let mut model = std::collections::VecDeque::new();
        let mut sequence = 1_u64 << 40;
        for round in 0..100_000_u64 {
            sequence += 1 + (round * 7919) % 200;
            assert!(list.push(sequence));
            assert!(!list.push(sequence), "only rising sequences");
            model.push_back(sequence);
            if round % 3 == 0 {
                assert_eq!(list.first(), model.front().copied());
                assert_eq!(list.pop(), model.pop_front());
            }
            assert_eq!(list.len(), model.len() as u64);
        }
        assert!(list.bytes() < 4 * model.len(), "{} bytes for {}", list.bytes(), model.len());
        list.retain(|sequence| sequence % 2 == 0);
        model.retain(|sequence| sequence % 2 == 0);
        while let Some(sequence) = model.pop_front() {
            assert_eq!(list.pop(), Some(sequence));
        }
        assert_eq!(list.pop(), None);
        assert!(list.push(3), "an empty list takes any sequence");
        assert_eq!((list.pop(), list.pop()), (Some(3), None));
    }
}
