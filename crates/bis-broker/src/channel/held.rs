//! A held message: one that the cursor has passed, that nobody has finished, and that stands in no list.

use super::leases::Place;
use super::{ConsumerId, Recalled, Time, Vanishing};

/// One held message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) attempts: u32,
    /// Whether it is the one message of its key that may move; the others of the key are parked.
    pub(super) leads: bool,
    pub(super) key: Option<u64>,
    /// Its last consumer vanished, and nothing has cleared it since.
    pub(super) suspect: bool,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    InFlight { consumer: ConsumerId, delivered: Time, until: Time, place: Place, vanishing: Vanishing },
    Ready,
    Deferred { due: Time, wait: Wait },
}

/// What a deferred message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The time of its first delivery, which its facts tell.
    First,
    /// To be delivered again.
    Again,
}

impl Held {
    /// Whether the message's facts do not tell everything about it.
    pub(super) fn is_worth_recalling(&self) -> bool {
        let comes_again = matches!(self.state, State::Deferred { wait: Wait::Again, .. });
        self.attempts > 0 || self.suspect || comes_again
    }

    /// What is remembered of it after a restart. A delivery that nobody has answered is not counted.
    pub(super) fn recalled(&self, sequence: u64) -> Recalled {
        let (attempts, due) = match self.state {
            State::InFlight { .. } => (self.attempts.saturating_sub(1), Time::ZERO),
            State::Ready => (self.attempts, Time::ZERO),
            State::Deferred { due, .. } => (self.attempts, due),
        };
        Recalled { sequence, attempts, due, suspect: self.suspect }
    }
}
