//! A held message: one that the cursor has passed, that nobody has finished, and that stands in no list.

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
