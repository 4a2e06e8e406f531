//! Events that are published again under their id: answered like the first time, and not stored a second time.
//!
//! The window holds the latest event ids of all topics. An event counts from when it is taken, so that a second publish
//! waits for the first one's commit and shares its fate. The checkpoint has the window, and the records after it bring
//! the rest, so that a start reads nothing more for it.

use bis_broker::{EventKey, EventWindow};

use super::{Place, Ticket};
use bis_broker::NumberMap;

/// An event that came without an id.
const NO_ID: [u8; 16] = [0; 16];
const KEY_BYTES: usize = 20;

/// Which events are known.
#[derive(Debug)]
pub(crate) struct Dedup {
    /// Each with the commit that it waits for, and its sequence or [`Place::UNKNOWN`].
    window: EventWindow<(Ticket, u64)>,
    duplicates: u64,
}

impl Dedup {
    /// Knows nothing, and has no bound until [`Dedup::set_window`] sets one: recovery fills it first.
    pub(crate) fn new() -> Self {
        Self { window: EventWindow::new(usize::MAX), duplicates: 0 }
    }

    /// How many events are known; 0 turns it off.
    pub(crate) fn set_window(&mut self, events: usize) {
        self.window.set_limit(events);
    }

    /// Where an event is that is known. It is counted as a duplicate.
    pub(crate) fn known(&mut self, topic: u32, event: [u8; 16]) -> Option<Place> {
        if event == NO_ID {
            return None;
        }
        let (ticket, sequence) = self.window.get(&(topic, event))?;
        self.duplicates += 1;
        Some(ticket.place(topic, *sequence))
    }

    /// Notes an event, when it has an id, with its commit and sequence.
    pub(crate) fn note(&mut self, topic: u32, event: [u8; 16], ticket: &Ticket, sequence: u64) {
        if event != NO_ID {
            self.window.note((topic, event), (ticket.clone(), sequence));
        }
    }

    /// The commit failed: its events may come again, and those of the next one move forward by this much in each topic.
    pub(crate) fn refused(&mut self, ticket: &Ticket, next: &Ticket, by: &NumberMap<u32, u64>) {
        self.window.retain(|(topic, _), (at, sequence)| {
            if at == next {
                *sequence -= by.get(topic).copied().unwrap_or(0);
            }
            at != ticket
        });
    }

    /// How many publishes were recognized since the start.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The events that the journal has, for the checkpoint.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let stored = self.window.iter().filter(|(_, (ticket, _))| ticket.is_stored());
        stored.flat_map(|((topic, event), _)| topic.to_le_bytes().into_iter().chain(*event)).collect()
    }

    /// Takes over what a checkpoint has.
    pub(crate) fn restore(&mut self, bytes: &[u8]) {
        let stored = Ticket::stored();
        for key in bytes.chunks_exact(KEY_BYTES) {
            let (topic, event) = key.split_at(4);
            if let (Ok(topic), Ok(event)) = (topic.try_into(), event.try_into()) {
                let key: EventKey = (u32::from_le_bytes(topic), event);
                self.window.note(key, (stored.clone(), Place::UNKNOWN));
            }
        }
    }
}
