//! Messages that live on as copies in newer segments than the one they were published to, so that a long life does not
//! keep a whole segment.
//!
//! It knows where copies are, not who still wants them: the state says when one may be forgotten. The checkpoint has all of
//! it, and the records after the checkpoint bring the rest.

use std::collections::{BTreeMap, BTreeSet};

/// A message: topic and sequence.
pub(crate) type Message = (u32, u64);

/// Where copies are.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Segment and offset of each message's newest copy.
    places: BTreeMap<Message, (u64, u32)>,
    /// The same by segment.
    held: BTreeMap<u64, BTreeSet<Message>>,
}

impl Moved {
    /// How many messages have moved.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The message's newest copy is here.
    pub(crate) fn note(&mut self, message: Message, segment: u64, offset: u32) {
        if let Some((before, _)) = self.places.insert(message, (segment, offset)) {
            self.release(before, message);
        }
        self.held.entry(segment).or_default().insert(message);
    }

    /// Segment and offset of the newest copy; `None` when the message is where it was published.
    pub(crate) fn place(&self, message: Message) -> Option<(u64, u32)> {
        self.places.get(&message).copied()
    }

    /// The messages whose newest copy is in a segment.
    pub(crate) fn in_segment(&self, segment: u64) -> impl Iterator<Item = Message> + '_ {
        self.held.get(&segment).into_iter().flatten().copied()
    }

    /// The sequences of a topic's messages that have moved, in order.
    pub(crate) fn of_topic(&self, topic: u32) -> impl Iterator<Item = u64> + '_ {
        self.places.range((topic, 0)..=(topic, u64::MAX)).map(|((_, sequence), _)| *sequence)
    }

    /// Every message with the place of its newest copy.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Message, (u64, u32))> + '_ {
        self.places.iter().map(|(message, place)| (*message, *place))
    }

    /// Forgets copies unless `keep` says otherwise of message and segment.
    pub(crate) fn retain(&mut self, keep: impl Fn(Message, u64) -> bool) {
        let gone: Vec<_> = self.iter().filter(|(message, (segment, _))| !keep(*message, *segment)).collect();
        for (message, (segment, _)) in gone {
            self.places.remove(&message);
            self.release(segment, message);
        }
    }

    fn release(&mut self, segment: u64, message: Message) {
        if let Some(held) = self.held.get_mut(&segment) {
            held.remove(&message);
            if held.is_empty() {
                self.held.remove(&segment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_copy_counts() {
        let mut moved = Moved::default();
        moved.note((1, 7), 3, 64);
        moved.note((1, 9), 3, 128);
        moved.note((2, 7), 3, 192);
        moved.note((1, 7), 5, 64);
        assert_eq!(moved.place((1, 7)), Some((5, 64)));
        assert_eq!(moved.in_segment(3).collect::<Vec<_>>(), [(1, 9), (2, 7)]);
        assert_eq!(moved.of_topic(1).collect::<Vec<_>>(), [7, 9]);
        moved.retain(|(topic, _), segment| topic == 1 && segment == 5);
        assert_eq!(moved.iter().collect::<Vec<_>>(), [((1, 7), (5, 64))]);
        assert_eq!((moved.in_segment(3).count(), moved.len()), (0, 1));
    }
}
