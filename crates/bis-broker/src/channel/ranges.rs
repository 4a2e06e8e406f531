//! A set of sequences, kept as disjoint ranges: what is finished above the floor.
//!
//! It holds no more than one entry a gap and knows nothing of messages.

use std::collections::BTreeMap;

/// Disjoint, non-adjacent half-open ranges `start..end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds one sequence; false when it was in the set already.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        let before = self.ranges.range(..=sequence).next_back().map(|(start, end)| (*start, *end));
        let (start, touches_before) = match before {
            Some((_, end)) if end > sequence => return false,
            Some((start, end)) if end == sequence => (start, true),
            _ => (sequence, false),
        };
        let end = self.ranges.remove(&(sequence + 1)).unwrap_or(sequence + 1);
        if touches_before {
            self.ranges.insert(start, end);
        } else {
            self.ranges.insert(sequence, end);
        }
        true
    }

    /// The end of the range that holds `sequence`, if one does.
    pub(super) fn end_of(&self, sequence: u64) -> Option<u64> {
        let (_, end) = self.ranges.range(..=sequence).next_back()?;
        (*end > sequence).then_some(*end)
    }

    /// Drops everything below `floor` and returns where the floor can go: past a range that begins there.
    pub(super) fn raise(&mut self, floor: u64) -> u64 {
        let floor = self.end_of(floor).unwrap_or(floor);
        while let Some(first) = self.ranges.first_entry() {
            if *first.key() >= floor {
                break;
            }
            first.remove();
        }
        floor
    }

    /// How many sequences from `from` on are in the set.
    pub(super) fn count_from(&self, from: u64) -> u64 {
        let partial = self.end_of(from).map_or(0, |end| end - from);
        let later = self.ranges.range(from..).filter(|(start, _)| **start > from);
        // A range that starts at `from` is the partial one already.
        partial + later.map(|(start, end)| end - start).sum::<u64>()
    }

    /// The ranges in order, as `(start, end)`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(start, end)| (*start, *end))
    }

    /// Builds the set from ranges in any order, which may touch or overlap.
    pub(super) fn from_ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<(u64, u64)> = ranges.into_iter().filter(|(start, end)| start < end).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (start, end) in sorted {
            match merged.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        Self { ranges: merged.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_and_the_floor_rises_past_them() {
        let mut ranges = Ranges::default();
        for sequence in [5, 7, 6, 2] {
            assert!(ranges.insert(sequence));
        }
        assert!(!ranges.insert(6));
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(2, 3), (5, 8)]);
        assert_eq!(ranges.count_from(0), 4);
        assert_eq!(ranges.count_from(6), 2);
        assert_eq!(ranges.count_from(5), 3);
        assert_eq!(ranges.end_of(6), Some(8));
        assert_eq!(ranges.end_of(8), None);
        assert_eq!(ranges.raise(2), 3);
        assert_eq!(ranges.raise(6), 8);
        assert_eq!(ranges.iter().count(), 0);
    }

    #[test]
    fn overlapping_ranges_become_one() {
        let ranges = Ranges::from_ranges([(5, 8), (1, 3), (3, 4), (7, 9), (4, 4)]);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(1, 4), (5, 9)]);
    }
}
