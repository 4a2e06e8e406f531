//! Random numbers that follow from the seed: a stream of its own for each kind of fault at each topic or subscription, so
//! that what happens to one does not depend on how others interleave with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use fastrand::Rng;

/// What a stream decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    Duplicate,
    LateDelivery,
    LatePublish,
    Reordering,
    PublishError,
    Restart,
}

/// All streams of a seed.
#[derive(Debug)]
pub(super) struct Dice {
    seed: u64,
    streams: Mutex<HashMap<(Fault, String), Rng>>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, streams: Mutex::default() }
    }

    /// Whether a fault of this rate happens now at `place`; if so, what random numbers it takes.
    pub(super) fn roll(&self, fault: Fault, place: &str, rate: f64) -> Option<Rng> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (fault, place.to_owned());
        let stream = streams.entry(key).or_insert_with(|| Rng::with_seed(mix(self.seed, fault, place)));
        // Two numbers whatever the outcome, so that the next decision does not depend on the rate.
        let (number, fork) = (stream.f64(), stream.u64(..));
        (number < rate).then(|| Rng::with_seed(fork))
    }
}

/// FNV-1a over the seed, the fault and the place (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same everywhere and
/// forever, unlike the standard library's hashes.
fn mix(seed: u64, fault: Fault, place: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain([fault as u8]).chain(place.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(dice: &Dice, fault: Fault, place: &str) -> Vec<bool> {
        (0..1000).map(|_| dice.roll(fault, place, 0.2).is_some()).collect()
    }

    #[test]
    fn streams_follow_from_the_seed_and_are_their_own() {
        let (one, same, other) = (Dice::new(1), Dice::new(1), Dice::new(2));
        let first = outcomes(&one, Fault::Duplicate, "a/b");
        outcomes(&same, Fault::Duplicate, "a/c");
        assert_eq!(first, outcomes(&same, Fault::Duplicate, "a/b"));
        assert_ne!(first, outcomes(&other, Fault::Duplicate, "a/b"));
        assert_ne!(first, outcomes(&one, Fault::Duplicate, "a/c"));
        assert_ne!(first, outcomes(&one, Fault::Restart, "a/b"));
        let share = first.iter().filter(|struck| **struck).count();
        assert!((150..250).contains(&share), "{share} of 1000");
    }

    #[test]
    fn never_and_always() {
        let dice = Dice::new(3);
        for _ in 0..1000 {
            assert!(dice.roll(Fault::Restart, "", 0.0).is_none());
            assert!(dice.roll(Fault::Restart, "", 1.0).is_some());
        }
    }
}
