//! A clock that goes where it is told to: time passes, and apart from that the date is set, in both directions.

use std::sync::Mutex;
use std::time::Duration;

use bis_broker::channel::Time;

use crate::clock::Clock;

/// The date of every start, in nanoseconds since 1970.
const START: Time = Time(1_700_000_000_000_000_000);

#[derive(Debug)]
pub(super) struct SimulatedClock(Mutex<Hands>);

#[derive(Debug)]
struct Hands {
    now: Time,
    date: Time,
    suspended: Duration,
}

impl SimulatedClock {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Hands { now: START, date: START, suspended: Duration::ZERO }))
    }

    /// Time passes.
    pub(super) fn pass(&self, time: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.now = hands.now.plus(time);
        hands.date = hands.date.plus(time);
    }

    /// Time passes while the machine is suspended.
    pub(super) fn suspend(&self, time: Duration) {
        self.pass(time);
        self.0.lock().unwrap().suspended += time;
    }

    /// Somebody sets the date forwards.
    pub(super) fn set_forwards(&self, time: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.date = hands.date.plus(time);
    }

    /// Somebody sets the date back.
    pub(super) fn set_back(&self, time: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.date = Time(hands.date.0 - u64::try_from(time.as_nanos()).unwrap());
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Time {
        self.0.lock().unwrap().now
    }

    fn date(&self) -> Time {
        self.0.lock().unwrap().date
    }

    fn suspended(&self) -> Duration {
        self.0.lock().unwrap().suspended
    }
}
