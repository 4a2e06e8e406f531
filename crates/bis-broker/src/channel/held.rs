//! A held message: one that the cursor has passed, that nobody has finished, and that stands in no list. And a map for
//! them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::leases::Place;
use super::{ConsumerId, Time};

/// One held message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) attempts: u32,
    /// Whether it is the one message of its key that may move; the others of the key are parked.
    pub(super) leads: bool,
    pub(super) key: Option<u64>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    InFlight { consumer: ConsumerId, delivered: Time, until: Time, place: Place },
    Ready,
    Deferred { due: Time },
}

/// A map by numbers that the channel or its owner counts up: nobody outside chooses them.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers that lie close, or at equal distances, by one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
