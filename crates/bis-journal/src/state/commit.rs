//! From the next commit to the journal and back: what the committer takes, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Batch, State};
use crate::files::batch::BATCH_HEADER;
use crate::files::writer::Written;

impl State {
    /// Everything for the next commit; `None` when there is nothing.
    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        self.is_flush_known = false;
        self.next.take(&mut self.topics)
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
            if topic.channels.is_empty() {
                topic.missed.unrouted(&topic.name, u64::from(message.count));
            } else if !std::mem::replace(&mut topic.is_behind, true) {
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
        self.next.committed();
        woken
    }

    /// The batch is not in the journal: its events may come again, and what was taken since has its sequences.
    pub(crate) fn refused(&mut self, batch: &Batch) {
        let by = self.next.refused(batch, &mut self.topics);
        self.dedup.refused(&batch.ticket, self.next.ticket(), &by);
    }
}
