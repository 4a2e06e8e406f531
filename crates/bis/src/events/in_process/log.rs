//! The events of a topic, by sequence: those that some subscription has not finished, and of the others the latest, for replay. It
//! knows nothing of subscriptions.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use bis_broker::channel::Time;
use bis_core::{Envelope, Retention};

/// The most bytes of handled events that a topic keeps, whatever its retention: they are in the app's memory.
const MAX_HANDLED_BYTES: u64 = 4 * 1024 * 1024;

/// About what an event takes beside its data.
const EVENT_OVERHEAD: u64 = 512;

/// One event.
pub(super) struct Stored {
    pub(super) envelope: Arc<Envelope>,
    pub(super) due: Time,
    pub(super) key: Option<u64>,
    pub(super) published: SystemTime,
    pub(super) stored: Time,
}

impl Stored {
    fn bytes(&self) -> u64 {
        EVENT_OVERHEAD + self.envelope.data.len() as u64
    }
}

pub(super) struct Log {
    first: u64,
    events: VecDeque<Stored>,
    /// Everything below is handled.
    handled: u64,
    /// The bytes of what is handled and kept.
    handled_bytes: u64,
    pub(super) retention: Retention,
}

impl Default for Log {
    fn default() -> Self {
        let retention = Retention::DEFAULT;
        Self { first: 0, events: VecDeque::new(), handled: 0, handled_bytes: 0, retention }
    }
}

impl Log {
    /// The first that is there.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// How many are not handled.
    pub(super) fn unhandled(&self) -> usize {
        usize::try_from(self.end() - self.handled).unwrap_or(usize::MAX)
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Stored> {
        let index = sequence.checked_sub(self.first)?;
        self.events.get(usize::try_from(index).ok()?)
    }

    pub(super) fn push(&mut self, event: Stored) {
        self.events.push_back(event);
    }

    /// Every subscription has finished what is below `floor`: of that, what retention does not keep is dropped.
    pub(super) fn handle_below(&mut self, floor: u64, now: Time) {
        let bytes = |log: &Self, sequence| log.get(sequence).map_or(0, Stored::bytes);
        while self.handled < floor {
            self.handled_bytes += bytes(self, self.handled);
            self.handled += 1;
        }
        while self.handled > floor {
            self.handled -= 1;
            self.handled_bytes -= bytes(self, self.handled);
        }
        let Retention { max_age, max_bytes } = self.retention;
        while self.first < self.handled
            && let Some(oldest) = self.events.front()
            && (self.handled_bytes > max_bytes.min(MAX_HANDLED_BYTES) || now.since(oldest.stored) > max_age)
        {
            self.handled_bytes -= oldest.bytes();
            self.events.pop_front();
            self.first += 1;
        }
    }

    /// The first that was published at a time or later; one past the last when none was.
    pub(super) fn first_at(&self, time: SystemTime) -> u64 {
        let earlier = self.events.partition_point(|event| event.published < time);
        self.first + earlier as u64
    }
}
