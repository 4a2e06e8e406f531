//! What waits for the next commit: records in a buffer, and operations of channels that nobody waits for.
//!
//! What always holds:
//! - The buffer begins with room for a batch's header; every message's place lies behind it.
//! - All that is in the buffer is decided with one ticket, which changes when the committer takes the buffer.
//! - What defines a topic or channel is in the commit that it was made in and once more in the one after it, so that no single
//!   damaged record hides all their messages; and no longer once it is deleted.

use std::collections::{BTreeMap, BTreeSet};

use bis_broker::NumberMap;

use super::MessageFacts;
use super::batch::{Batch, Pending};
use super::ticket::Ticket;
use super::topics::{Intake, Topics};
use crate::files::batch::BATCH_HEADER;
use crate::files::record::{self, Header, Kind, RECORD_HEADER};
use crate::name::Name;
use bis_broker::channel::Time;

/// At most this many bytes of all clients wait for the next commit while the one before is written; then no more is read.
const MAX_UNCOMMITTED: usize = 32 * 1024 * 1024;
/// The most room that the next buffer has from the start.
const MAX_CAPACITY: usize = 1024 * 1024;

/// What waits for the next commit.
#[derive(Debug)]
pub(crate) struct NextCommit {
    ticket: Ticket,
    /// The commit that was taken last.
    taken: Ticket,
    buffer: Vec<u8>,
    messages: Vec<Pending>,
    /// Messages that are copied from old segments.
    moving: Vec<Pending>,
    /// It has a message that may not use the reserve.
    is_ordinary: bool,
    /// Channels with operations.
    dirty: BTreeMap<u32, BTreeSet<Name>>,
    /// What the buffer defines.
    defined: Vec<u8>,
    /// What the last commit defined.
    defined_before: Vec<u8>,
    /// A commit failed: what it defined must be written again.
    redefine: bool,
}

impl NextCommit {
    pub(super) fn new() -> Self {
        Self {
            ticket: Ticket::default(),
            taken: Ticket::stored(),
            buffer: vec![0; BATCH_HEADER],
            messages: Vec::new(),
            moving: Vec::new(),
            is_ordinary: false,
            dirty: BTreeMap::new(),
            defined: Vec::new(),
            defined_before: Vec::new(),
            redefine: false,
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.buffer.len() > BATCH_HEADER
    }

    /// Whether there are operations that nobody waits for.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.defined_before.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len() - BATCH_HEADER
    }

    /// Whether so much waits that no more should be taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.bytes() >= MAX_UNCOMMITTED
    }

    /// The ticket with which it is decided.
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// The ticket with which all that clients wait for is decided; one that holds when nothing is awaited.
    pub(super) fn last_awaited(&self) -> Ticket {
        match self.is_awaited() {
            true => self.ticket.clone(),
            false if self.taken.is_decided() => Ticket::stored(),
            false => self.taken.clone(),
        }
    }

    /// Adds a record.
    pub(super) fn add(&mut self, header: &Header, body: &[u8]) {
        record::append(&mut self.buffer, header, body);
    }

    /// Adds a record that defines a topic or channel.
    pub(super) fn define(&mut self, header: &Header, body: &[u8]) {
        record::append(&mut self.buffer, header, body);
        record::append(&mut self.defined, header, body);
    }

    /// Something was deleted: it must not be defined again.
    pub(super) fn forget_defined(&mut self) {
        self.defined.clear();
        self.defined_before.clear();
    }

    /// Adds the messages of one publish, each with these facts. Ordinary ones may not use the reserve.
    pub(super) fn add_messages<'a>(
        &mut self,
        intake: &mut Intake,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        facts: &MessageFacts,
        date: Time,
    ) {
        let topic = intake.topic;
        let (first, place, mut bytes) = (intake.next_sequence, self.buffer.len(), 0);
        for body in bodies {
            let mut header = Header::new(Kind::Message, topic, intake.next_sequence);
            header.published = date.0;
            header.due = facts.due.0;
            header.key = facts.key;
            header.event = facts.event;
            record::append(&mut self.buffer, &header, body);
            intake.next_sequence += 1;
            bytes += body.len();
        }
        let count = u32::try_from(intake.next_sequence - first).expect("a buffer is bounded far below 4 GiB");
        if count > 0 {
            self.messages.push(Pending { topic, count, sequence: first, place, bytes });
        }
    }

    /// A message in it may not use the reserve.
    pub(super) fn note_ordinary(&mut self) {
        self.is_ordinary = true;
    }

    /// Adds a copy of a message's record.
    pub(super) fn add_copy(&mut self, mut header: Header, record: &[u8]) {
        header.kind = Kind::Moved;
        let (topic, sequence, place) = (header.topic, header.sequence, self.buffer.len());
        let body = &record[RECORD_HEADER..];
        self.moving.push(Pending { topic, count: 1, sequence, place, bytes: body.len() });
        record::append(&mut self.buffer, &header, body);
    }

    /// The channel has operations.
    pub(super) fn mark_dirty(&mut self, topic: u32, channel: &Name) {
        let channels = self.dirty.entry(topic).or_default();
        if !channels.contains(channel.as_str()) {
            channels.insert(channel.clone());
        }
    }

    /// The topic is gone, and its channels.
    pub(super) fn forget_topic(&mut self, topic: u32) {
        self.dirty.remove(&topic);
        self.forget_defined();
    }

    /// The channel is gone.
    pub(super) fn forget_channel(&mut self, topic: u32, channel: &str) {
        if let Some(channels) = self.dirty.get_mut(&topic) {
            channels.remove(channel);
        }
        self.forget_defined();
    }

    /// Everything, with the operations of channels; `None` when there is nothing.
    pub(super) fn take(&mut self, topics: &mut Topics) -> Option<Batch> {
        if self.redefine && (self.is_awaited() || self.is_dirty()) {
            self.define_all(topics);
        }
        for (topic, names) in std::mem::take(&mut self.dirty) {
            let Some(channels) = topics.get_mut(&topic).map(|topic| &mut topic.channels) else { continue };
            for name in names {
                if let Some(channel) = channels.get_mut(&name)
                    && let Some(body) = channel.operations.take(channel.id)
                {
                    record::append(&mut self.buffer, &Header::new(Kind::Operations, topic, 0), &body);
                }
            }
        }
        self.buffer.append(&mut self.defined_before);
        self.defined_before = std::mem::take(&mut self.defined);
        if !self.is_awaited() {
            return None;
        }
        let mut next = Vec::with_capacity(self.buffer.len().min(MAX_CAPACITY));
        next.resize(BATCH_HEADER, 0);
        let buffer = std::mem::replace(&mut self.buffer, next);
        let ticket = std::mem::take(&mut self.ticket);
        self.taken = ticket.clone();
        Some(Batch {
            ticket,
            buffer,
            messages: std::mem::take(&mut self.messages),
            moving: std::mem::take(&mut self.moving),
            is_ordinary: std::mem::take(&mut self.is_ordinary),
        })
    }

    /// A batch that was taken is in the journal.
    pub(super) fn committed(&mut self) {
        self.redefine = false;
    }

    /// A batch that was taken is not in the journal. What it defined is written again, and what was taken since has its
    /// sequences: on a disk that is full for long, channels would wait for many messages that never existed. Returns how many
    /// those are by topic.
    pub(super) fn refused(&mut self, batch: &Batch, topics: &mut Topics) -> NumberMap<u32, u64> {
        self.redefine = true;
        let mut refused: NumberMap<u32, u64> = NumberMap::default();
        for message in &batch.messages {
            *refused.entry(message.topic).or_default() += u64::from(message.count);
        }
        for message in &mut self.messages {
            if let Some(count) = refused.get(&message.topic) {
                message.sequence -= count;
                let mut place = message.place;
                for sequence in (message.sequence..).take(message.count as usize) {
                    record::renumber(&mut self.buffer[place..], sequence);
                    place += record::read_u32(&self.buffer, place) as usize;
                }
            }
        }
        refused.iter().for_each(|(topic, count)| topics.take_back(*topic, *count));
        self.ticket.renumber(refused.clone());
        refused
    }

    fn define_all(&mut self, topics: &Topics) {
        let Some(mut definitions) = topics.definitions() else { return };
        let shift = definitions.len() - BATCH_HEADER;
        definitions.extend_from_slice(&self.buffer[BATCH_HEADER..]);
        self.buffer = definitions;
        for message in self.messages.iter_mut().chain(&mut self.moving) {
            message.place += shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds of the records in a batch, in order.
    fn kinds(batch: &Batch) -> Vec<Kind> {
        let (mut kinds, mut at) = (Vec::new(), BATCH_HEADER);
        while let Some(length) = record::length_at(&batch.buffer[at..]) {
            kinds.push(record::header(&batch.buffer[at..]).unwrap().kind);
            at += length;
        }
        kinds
    }

    fn publish(next: &mut NextCommit, topics: &mut Topics, bodies: &[&[u8]]) {
        let intake = topics.intake("orders").unwrap();
        next.add_messages(intake, bodies.iter().copied(), &MessageFacts::default(), Time(1));
    }

    #[test]
    fn what_is_defined_is_written_twice_unless_it_is_deleted() {
        for is_deleted in [false, true] {
            let (mut next, mut topics) = (NextCommit::new(), Topics::new(1, 1));
            let topic = topics.make("orders").id;
            next.define(&Header::new(Kind::Topic, topic, 0), b"orders");
            assert_eq!(kinds(&next.take(&mut topics).unwrap()), [Kind::Topic]);
            if is_deleted {
                next.forget_topic(topic);
            }
            let again = next.take(&mut topics).map(|batch| kinds(&batch)).unwrap_or_default();
            assert_eq!(again, if is_deleted { vec![] } else { vec![Kind::Topic] });
            assert!(next.take(&mut topics).is_none());
        }
    }

    #[test]
    fn after_a_refusal_what_waits_has_the_sequences_and_the_definitions_of_what_was_refused() {
        let (mut next, mut topics) = (NextCommit::new(), Topics::new(1, 1));
        let topic = topics.make("orders").id;
        next.define(&Header::new(Kind::Topic, topic, 0), b"orders");
        publish(&mut next, &mut topics, &[b"a", b"b"]);
        let refused = next.take(&mut topics).unwrap();
        publish(&mut next, &mut topics, &[b"c"]);
        next.refused(&refused, &mut topics);
        let batch = next.take(&mut topics).unwrap();
        assert_eq!(kinds(&batch), [Kind::Topic, Kind::TopicState, Kind::Message, Kind::Topic]);
        let (sequence, place) = batch.messages[0].each(&batch.buffer).next().unwrap();
        let header = record::header(&batch.buffer[place..]).unwrap();
        assert_eq!((sequence, header.sequence, header.kind), (0, 0, Kind::Message));
        assert_eq!(topics.intake("orders").unwrap().next_sequence, 1);
    }

    #[test]
    fn nobody_waits_for_what_is_decided() {
        let (mut next, mut topics) = (NextCommit::new(), Topics::new(1, 1));
        assert!(next.last_awaited().is_stored());
        next.add(&Header::new(Kind::TopicDeleted, 9, 0), &[]);
        let ticket = next.ticket().clone();
        assert!(next.last_awaited() == ticket);
        let batch = next.take(&mut topics).unwrap();
        assert!(next.last_awaited() == ticket && !next.is_awaited());
        batch.ticket.decide(Err("the disk is full".into()));
        assert!(next.last_awaited().is_stored(), "who comes now need not wait for a commit that failed");
    }
}
