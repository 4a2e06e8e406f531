//! A held message: one that the cursor has passed, that nobody has finished, and that is in no list.

use super::leases::Place;
use super::{ConsumerId, ProcessId, Recalled, Time, Vanishing};

/// One held message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) attempts: u32,
    /// Whether it is the one message of its key that may move; the others of the key are parked.
    pub(super) leads: bool,
    pub(super) key: Option<u64>,
    /// Its last consumer vanished, and nothing has cleared it since.
    pub(super) suspect: bool,
    /// Whether it was blamed for that, beside being suspected.
    pub(super) blamed: bool,
    /// The process that vanished, where it is known.
    pub(super) accuser: Option<ProcessId>,
    /// How often it was blamed.
    pub(super) crashes: u32,
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
    /// A message that waits for nothing, and of which this is known.
    pub(super) fn ready(key: Option<u64>, leads: bool, recalled: Option<&Recalled>) -> Self {
        let (attempts, crashes) = recalled.map_or((0, 0), |recalled| (recalled.attempts, recalled.crashes));
        let suspect = recalled.is_some_and(|recalled| recalled.suspect);
        Self { attempts, leads, key, suspect, blamed: false, accuser: None, crashes, state: State::Ready }
    }

    /// The process that had it vanished: it is suspected, and blamed when it was suspected already.
    pub(super) fn suspect(&mut self, process: Option<ProcessId>) {
        self.blamed = self.suspect;
        match self.blamed {
            true => self.crashes = self.crashes.saturating_add(1),
            false => self.attempts -= 1,
        }
        self.suspect = true;
        self.accuser = process;
    }

    /// The process that vanished lives.
    pub(super) fn acquit(&mut self) {
        if self.blamed {
            self.attempts -= 1;
            self.crashes -= 1;
        }
        self.clear();
    }

    /// It was answered: nothing is held against it any more.
    pub(super) fn clear(&mut self) {
        (self.suspect, self.blamed, self.accuser) = (false, false, None);
    }

    /// Whether the message's facts do not tell everything about it.
    pub(super) fn is_worth_recalling(&self) -> bool {
        let comes_again = matches!(self.state, State::Deferred { wait: Wait::Again, .. });
        self.attempts > 0 || self.crashes > 0 || self.suspect || comes_again
    }

    /// What is remembered of it after a restart. A delivery that nobody has answered is not counted.
    pub(super) fn recalled(&self, sequence: u64) -> Recalled {
        let (attempts, due) = match self.state {
            State::InFlight { .. } => (self.attempts.saturating_sub(1), Time::ZERO),
            State::Ready => (self.attempts, Time::ZERO),
            State::Deferred { due, .. } => (self.attempts, due),
        };
        Recalled { sequence, attempts, due, suspect: self.suspect, crashes: self.crashes }
    }
}
