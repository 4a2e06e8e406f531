//! When deliveries run out, earliest first. Leases of one length begin in the order in which they end, so that both ends
//! of a queue are all that is touched for them; the others are in a sorted set.
//!
//! It knows nothing of messages and consumers.

use std::collections::{BTreeSet, VecDeque};

use super::Time;

/// A queue this short is not looked at for room.
const SMALL: usize = 64;

/// Where a lease is; give it back to end the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u64);

/// The place of those in the sorted set.
const SORTED: Place = Place(u64::MAX);

/// Running leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The place of the front of the queue.
    front: u64,
    /// By rising end; `None` has ended. The front never has.
    queue: VecDeque<(Time, Option<u64>)>,
    /// How many of the queue have ended.
    ended: usize,
    sorted: BTreeSet<(Time, u64)>,
}

impl Leases {
    /// A message is out until then.
    pub(super) fn begin(&mut self, until: Time, sequence: u64) -> Place {
        if self.queue.back().is_some_and(|(last, _)| *last > until) {
            self.sorted.insert((until, sequence));
            return SORTED;
        }
        self.queue.push_back((until, Some(sequence)));
        Place(self.front + self.queue.len() as u64 - 1)
    }

    /// The lease with this end and place is over.
    pub(super) fn end(&mut self, place: Place, until: Time, sequence: u64) {
        let index = place.0.checked_sub(self.front).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.filter(|_| place != SORTED).and_then(|index| self.queue.get_mut(index))
        else {
            self.sorted.remove(&(until, sequence));
            return;
        };
        entry.1 = None;
        self.ended += 1;
        self.make_room();
    }

    /// The end of the lease that ends first, and its message.
    pub(super) fn first(&self) -> Option<(Time, u64)> {
        let queued = self.queue.front().and_then(|(until, sequence)| Some((*until, (*sequence)?)));
        let sorted = self.sorted.first().copied();
        queued.into_iter().chain(sorted).min()
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.queue.len() - self.ended + self.sorted.len()
    }

    /// The messages of all that run, in no order.
    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> + '_ {
        let queued = self.queue.iter().filter_map(|(_, sequence)| *sequence);
        queued.chain(self.sorted.iter().map(|(_, sequence)| *sequence))
    }

    /// Drops ended leases at the front. One that keeps running moves to the sorted set, so that the queue never holds many
    /// more leases than run.
    fn make_room(&mut self) {
        while let Some((until, sequence)) = self.queue.front().copied() {
            match sequence {
                None => self.ended -= 1,
                Some(sequence) if self.queue.len() > SMALL && 2 * self.ended > self.queue.len() => {
                    self.sorted.insert((until, sequence));
                }
                Some(_) => return,
            }
            self.queue.pop_front();
            self.front += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_whatever_the_order_and_ended_ones_take_no_room() {
        let mut leases = Leases::default();
        let mut model = BTreeSet::new();
        let mut open = Vec::new();
        let mut random = 7_u64;
        for sequence in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let until = Time(sequence + if random >> 60 == 0 { 5 } else { 100 });
            open.push((leases.begin(until, sequence), until, sequence));
            model.insert((until, sequence));
            while open.len() > 10 {
                // The very first stays open for the whole run.
                let (place, until, sequence) =
                    open.swap_remove(1 + (random >> 40) as usize % (open.len() - 1));
                leases.end(place, until, sequence);
                model.remove(&(until, sequence));
            }
            assert_eq!(leases.first(), model.first().copied());
            assert_eq!(leases.len(), model.len());
            assert!(leases.queue.len() <= 4 * SMALL, "{} in the queue", leases.queue.len());
        }
        let mut running: Vec<u64> = leases.sequences().collect();
        running.sort_unstable();
        let expected: BTreeSet<u64> = model.iter().map(|(_, sequence)| *sequence).collect();
        assert_eq!(running, expected.into_iter().collect::<Vec<_>>());
    }
}
