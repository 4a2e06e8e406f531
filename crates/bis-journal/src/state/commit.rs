//! From the buffer to the journal: what the committer takes at once, and what becomes of it.

use std::sync::Arc;

use bis_broker::NumberMap;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{Pending, State, Ticket};
use crate::files::batch::BATCH_HEADER;
use crate::files::record::{self, Header, Kind};
use crate::files::writer::Written;

/// What the committer takes at once.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) ticket: Ticket,
    /// Room for the batch's header, then records.
    pub(crate) buffer: Vec<u8>,
    messages: Vec<Pending>,
    /// Messages that are copied from old segments.
    moving: Vec<Pending>,
    /// It has a message that has no right to the reserve.
    pub(crate) is_ordinary: bool,
}

impl State {
    /// Everything for the next commit; `None` when there is nothing.
    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        if self.redefine && (self.is_awaited() || self.is_dirty()) {
            self.define_all();
        }
        for (topic, names) in std::mem::take(&mut self.dirty) {
            let Some(channels) = self.topics.get_mut(&topic).map(|topic| &mut topic.channels) else {
                continue;
            };
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
        let capacity = self.buffer.len().min(1024 * 1024);
        let mut next = Vec::with_capacity(capacity);
        next.resize(BATCH_HEADER, 0);
        let buffer = std::mem::replace(&mut self.buffer, next);
        let messages = std::mem::take(&mut self.messages);
        let moving = std::mem::take(&mut self.moving);
        let ticket = std::mem::take(&mut self.ticket);
        self.taken = ticket.clone();
        let is_ordinary = std::mem::take(&mut self.is_ordinary);
        Some(Batch { ticket, buffer, messages, moving, is_ordinary })
    }

    /// The batch is in the journal: its messages can be seen. Returns the consumers to wake.
    pub(crate) fn committed(&mut self, batch: Batch, written: Written) -> Vec<Arc<Notify>> {
        let mut behind: Vec<u32> = Vec::new();
        let offset_of = |place: usize| written.records_at + (place - BATCH_HEADER) as u64;
        for message in &batch.messages {
            let Some(topic) = self.topics.get_mut(&message.topic) else { continue };
            for (sequence, place) in message.each(&batch.buffer) {
                self.log.note(message.topic, sequence, offset_of(place));
            }
            topic.message_count += u64::from(message.count);
            topic.message_bytes += message.bytes as u64;
            topic.end = message.sequence + u64::from(message.count);
            if !topic.channels.is_empty() && !std::mem::replace(&mut topic.is_behind, true) {
                behind.push(message.topic);
            }
        }
        for message in &batch.moving {
            if self.topics.contains_key(&message.topic) {
                let place = (message.topic, message.sequence);
                self.log.note_moved(place, written.segment, offset_of(message.place));
            }
        }
        let records = Bytes::from(batch.buffer).slice(BATCH_HEADER..);
        self.log.keep_recent(written.segment, written.records_at, records);
        let mut woken = Vec::new();
        for id in behind {
            if let Some(topic) = self.topics.get_mut(&id) {
                topic.is_behind = false;
                topic.extend_quietly(&mut woken);
            }
        }
        self.redefine = false;
        woken
    }

    /// The batch is not in the journal. What it defined is written again, and what was taken since has its sequences: on a
    /// disk that is full for long, channels would wait for many messages that never were.
    pub(crate) fn refused(&mut self, batch: &Batch) {
        self.redefine = true;
        self.dedup.refused(&batch.ticket);
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
        for (number, count) in refused {
            let Some(topic) = self.topics.get(&number) else { continue };
            if let Some(intake) = self.names.get_mut(&topic.name).filter(|intake| intake.topic == number) {
                intake.next_sequence -= count;
            }
        }
    }

    fn define_all(&mut self) {
        let Some(mut definitions) = self.definitions() else { return };
        let shift = definitions.len() - BATCH_HEADER;
        definitions.extend_from_slice(&self.buffer[BATCH_HEADER..]);
        self.buffer = definitions;
        for message in self.messages.iter_mut().chain(&mut self.moving) {
            message.place += shift;
        }
    }
}
