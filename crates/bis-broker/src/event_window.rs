//! The latest event ids of a broker, so that an event that is published again under its id is known: a publisher that did
//! not see the answer may ask again. Bounded in entries; it knows nothing of events, and no clock.

use std::collections::{HashMap, VecDeque};

/// Where an event was published, and its id: the same event on two topics is two events.
pub type EventKey = (u32, [u8; 16]);

/// The latest events, up to the bound, each with what its broker notes about it. About 80 bytes each.
#[derive(Clone, Debug)]
pub struct EventWindow<V> {
    limit: usize,
    known: HashMap<EventKey, V>,
    /// The oldest first.
    order: VecDeque<EventKey>,
}

impl<V> EventWindow<V> {
    /// An empty window of this many events; 0 keeps none.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, known: HashMap::new(), order: VecDeque::new() }
    }

    /// Changes the bound; the oldest fall out.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink();
    }

    /// What was noted about an event, when it is among the latest.
    #[must_use]
    pub fn get(&self, event: &EventKey) -> Option<&V> {
        self.known.get(event)
    }

    /// Notes a new event. The place of one that is known stays as it was.
    pub fn note(&mut self, event: EventKey, value: V) {
        if self.limit > 0 && self.known.insert(event, value).is_none() {
            self.order.push_back(event);
            self.shrink();
        }
    }

    /// Forgets what does not pass: what was not stored after all, or has no topic any more. What is noted of the rest may be
    /// changed on the way.
    pub fn retain(&mut self, mut keep: impl FnMut(&EventKey, &mut V) -> bool) {
        let known = &mut self.known;
        self.order.retain(|event| {
            let stays = known.get_mut(event).is_some_and(|value| keep(event, value));
            if !stays {
                known.remove(event);
            }
            stays
        });
    }

    /// The events, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&EventKey, &V)> {
        self.order.iter().filter_map(|event| Some((event, self.known.get(event)?)))
    }

    fn shrink(&mut self) {
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u8) -> EventKey {
        (1, [number; 16])
    }

    #[test]
    fn the_last_ones_are_known_and_no_more() {
        let mut window = EventWindow::new(3);
        for number in 1..=3 {
            window.note(event(number), number);
        }
        window.note(event(1), 9);
        assert_eq!(window.get(&event(1)), Some(&9));
        window.note(event(4), 4);
        assert_eq!(window.get(&event(1)), None, "the oldest falls out, however often it came");
        window.retain(|_, value| *value != 3);
        assert_eq!(window.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(window.get(&(2, [2; 16])), None, "another topic's");
        window.set_limit(1);
        assert_eq!((window.get(&event(2)), window.get(&event(4))), (None, Some(&4)));
        window.set_limit(0);
        window.note(event(5), 5);
        assert_eq!(window.iter().count(), 0);
    }
}
