//! From the disk back to the state: checkpoint, then every record after it.

use std::io;
use std::sync::Arc;

use crate::name::Name;
use bis_broker::channel::{Snapshot, Time};
use bytes::Bytes;

use super::topic::{ChannelState, Topic};
use super::topics::Topics;
use super::{State, Ticket};
use crate::files::batch::BATCH_HEADER;
use crate::files::checkpoint::{Checkpoint, TopicPoint};
use crate::files::damage::Damage;
use crate::files::disk::Disk;
use crate::files::fetch::read_whole;
use crate::files::footer::{self, SegmentOffsets, TRAILER};
use crate::files::found::{self, Found};
use crate::files::log::Log;
use crate::files::operations;
use crate::files::record::{self, Header, Kind, RECORD_HEADER, read_u32};
use crate::files::salt::Salt;
use crate::files::scan;
use crate::files::segment::{SEGMENT_HEADER, Segment};
use crate::files::writer::{Position, Writer, Written};

/// A router's state as the disk had it, and the journal to go on with.
pub(crate) struct Restored {
    pub(crate) state: State,
    pub(crate) writer: Writer,
    /// What was durable once and does not hold now.
    pub(crate) damage: Vec<Damage>,
    /// The next commit is to be followed by a checkpoint: there was none, or it lists what is gone.
    pub(crate) checkpoint_due: bool,
}

/// Reads the folder; an empty one is a new journal, with this salt.
pub(crate) fn restore(
    disk: &Arc<dyn Disk>,
    segment_bytes: u64,
    now: Time,
    new_salt: Salt,
) -> io::Result<Restored> {
    let (salt, found) = found::find(disk, new_salt)?;
    let (checkpoint, checkpoint_damaged) = Checkpoint::load(disk)?;
    if checkpoint_damaged {
        tracing::error!(
            "the newest checkpoint is damaged; going on from the one before, or from the journal alone"
        );
    }
    let missing = missing(checkpoint.as_ref(), &found);
    let checkpoint_due = checkpoint.is_none() || !missing.is_empty();
    let checkpoint = checkpoint.unwrap_or_default();
    let Some(Found { segment: newest, file }) = found.last() else {
        // Never the checkpoint's segment again: its records would count as part of the checkpoint.
        let first = checkpoint.segment + 1;
        let disk = Arc::clone(disk);
        let writer = Writer::create(disk, salt, first, checkpoint.next_batch, segment_bytes, now.0)?;
        let mut state = from_checkpoint(Log::new(writer.segment(), writer.file()), &checkpoint);
        state.finish_restore(&missing);
        return Ok(Restored { state, writer, damage: missing, checkpoint_due });
    };
    let mut restoring = Restoring {
        disk: Arc::clone(disk),
        salt,
        state: from_checkpoint(Log::new(*newest, Arc::clone(file)), &checkpoint),
        damage: missing,
        checkpoint_due,
        saved: Vec::new(),
        end: Position { segment: newest.number, ..checkpoint.position() },
        written: found::newest_written(&found)?,
        // Its position counts as part of the checkpoint as long as the journal does not go beyond.
        is_sealed: newest.number < checkpoint.segment,
        now,
        checkpoint,
    };
    for found in &found {
        restoring.read_segment(found)?;
    }
    restoring.finish(*newest, segment_bytes)
}

/// Segments that should be there. Without a checkpoint nothing tells them from those that were removed.
fn missing(checkpoint: Option<&Checkpoint>, found: &[Found]) -> Vec<Damage> {
    let there: Vec<u64> = found.iter().map(|found| found.segment.number).collect();
    match checkpoint {
        Some(checkpoint) => {
            let missing = checkpoint.missing(&there).into_iter();
            missing.map(|(first, last)| Damage::Segments { first, last }).collect()
        }
        None => {
            for pair in there.windows(2).filter(|pair| pair[0] + 1 < pair[1]) {
                let (after, before) = (pair[0], pair[1]);
                tracing::warn!(
                    after,
                    before,
                    "segments are not there, and no checkpoint tells whether they were removed or lost"
                );
            }
            Vec::new()
        }
    }
}

/// A start in progress.
struct Restoring {
    disk: Arc<dyn Disk>,
    salt: Salt,
    checkpoint: Checkpoint,
    state: State,
    damage: Vec<Damage>,
    checkpoint_due: bool,
    /// Records of a torn tail that hold, to be written again.
    saved: Vec<u8>,
    /// The newest segment with a batch. Those before were synced as a whole before it was begun.
    written: u64,
    /// Where the journal goes on, unless its newest segment is sealed.
    end: Position,
    is_sealed: bool,
    now: Time,
}

impl Restoring {
    /// Takes over one segment, the oldest first: by its footers when the checkpoint covers it, and else by reading it.
    fn read_segment(&mut self, found: &Found) -> io::Result<()> {
        let (segment, file) = (found.segment, Arc::clone(&found.file));
        let (number, length) = (segment.number, file.length()?);
        let (newest, after) = (self.end.segment, (self.checkpoint.segment, self.checkpoint.offset));
        let footers = footer::read(&*file, segment)?;
        if let Some(offsets) = footers.as_ref().filter(|_| number < after.0) {
            self.state.log.add_sealed(segment, file, length, offsets, self.now.0);
            return Ok(());
        }
        // What the checkpoint knows of it, and all there is of one that another has followed. It has a header at least.
        let mut known_durable = self.checkpoint.length_of(number).unwrap_or(0);
        if number < self.written.max(after.0) {
            known_durable = known_durable.max(length).max(SEGMENT_HEADER as u64);
        }
        let mut offsets = SegmentOffsets::default();
        let mut bytes = read_whole(&*file)?;
        if footers.is_some() {
            bytes.truncate(bytes.len() - TRAILER);
            known_durable = known_durable.min(bytes.len() as u64);
        }
        let state = &mut self.state;
        let scanned = scan::scan(segment, &bytes, known_durable, |record, offset| {
            let Some(header) = record::header(record) else { return };
            if header.kind == Kind::Message
                && let Ok(offset) = u32::try_from(offset)
                && !offsets.entry(header.topic).or_default().push(header.sequence, offset)
            {
                return;
            }
            if (number, offset) >= after {
                if header.kind == Kind::Moved {
                    state.log.note_moved((header.topic, header.sequence), number, offset);
                }
                state.apply(&header, &record[RECORD_HEADER..]);
            }
        });
        self.damage.extend(scanned.damage);
        self.end.next_batch = self.end.next_batch.max(scanned.next_batch);
        if footers.is_none() {
            self.saved.extend(scanned.saved);
        }
        if number == newest && footers.is_none() && !self.is_sealed {
            self.end.offset = scanned.end;
            self.state.log.restore_active(offsets, scanned.end);
            return Ok(());
        }
        self.is_sealed |= number == newest;
        let mut length = length;
        if footers.is_none() && number >= self.written {
            // The next one could not be begun. What follows the end was never durable, but will look so once that one is
            // written to.
            length = scanned.end;
            file.set_length(length)?;
            file.sync()?;
        }
        // The footers know of messages whose records are damaged, too.
        let offsets = footers.unwrap_or(offsets);
        self.state.log.add_sealed(segment, file, length, &offsets, self.now.0);
        Ok(())
    }

    fn finish(mut self, newest: Segment, segment_bytes: u64) -> io::Result<Restored> {
        let (disk, salt, now) = (Arc::clone(&self.disk), self.salt, self.now.0);
        let mut saved = std::mem::take(&mut self.saved);
        if !saved.is_empty() {
            tracing::warn!(bytes = saved.len(), "records after the journal's torn end hold and are kept");
            saved.splice(0..0, [0; BATCH_HEADER]);
        }
        let (writer, written) = if self.is_sealed {
            let next = self.end.segment.max(self.checkpoint.segment) + 1;
            let mut writer = Writer::create(disk, salt, next, self.end.next_batch, segment_bytes, now)?;
            self.state.log.restart(writer.segment(), writer.file());
            let written = if saved.is_empty() { None } else { Some(writer.write(&mut saved)?) };
            writer.sync()?;
            (writer, written)
        } else {
            Writer::resume(disk, salt, newest, self.end, segment_bytes, now, &mut saved)?
        };
        if let Some(written) = written {
            self.take_saved(written, Bytes::from(saved).slice(BATCH_HEADER..));
        }
        self.state.finish_restore(&self.damage);
        let Self { state, damage, checkpoint_due, .. } = self;
        Ok(Restored { state, writer, damage, checkpoint_due })
    }

    /// What was saved of a torn batch is a batch of its own now.
    fn take_saved(&mut self, written: Written, records: Bytes) {
        let mut at = 0;
        while let Some(length) = record::length_at(&records[at..]) {
            let record = &records[at..at + length];
            if let Some(header) = record::header(record) {
                let offset = written.records_at + at as u64;
                let message = (header.topic, header.sequence);
                // A refused message may have the sequence of another that was taken afterwards: it is not a message.
                let is_taken = match header.kind {
                    Kind::Message => self.state.log.note(message.0, message.1, offset),
                    _ => true,
                };
                if header.kind == Kind::Moved {
                    self.state.log.note_moved(message, written.segment, offset);
                }
                if is_taken {
                    self.state.apply(&header, &record[RECORD_HEADER..]);
                }
            }
            at += length;
        }
        self.state.log.keep_recent(written.segment, written.records_at, records);
    }
}

fn from_checkpoint(log: Log, checkpoint: &Checkpoint) -> State {
    let mut state = State::new(log, Topics::new(checkpoint.next_topic, checkpoint.next_channel));
    state.dedup.restore(&checkpoint.events);
    for (message, (segment, offset)) in &checkpoint.moved {
        state.log.note_moved(*message, *segment, u64::from(*offset));
    }
    for point in &checkpoint.topics {
        state.topics.insert(restore_topic(point));
    }
    state
}

fn restore_topic(point: &TopicPoint) -> Topic {
    let mut topic = Topic::new(point.id, Name::new(&point.name));
    (topic.end, topic.base) = (point.end, point.base);
    (topic.paused, topic.held, topic.retention) = (point.paused, point.held, point.retention);
    for at in &point.channels {
        let mut channel = ChannelState::new(at.id, &at.snapshot());
        channel.reach(at.reached);
        topic.channels.insert(Name::new(&at.name), channel);
    }
    topic
}

impl State {
    /// Does what a record says, once more.
    fn apply(&mut self, header: &Header, body: &[u8]) {
        match header.kind {
            Kind::Topic => {
                if let Some(name) = Name::from_bytes(body) {
                    self.topics.define(header.topic, name);
                }
            }
            Kind::TopicDeleted => self.topics.remove_number(header.topic),
            Kind::Footer => {}
            kind => {
                if kind == Kind::Channel && body.len() >= 4 && self.topics.contains_key(&header.topic) {
                    self.topics.note_channel(read_u32(body, 0));
                }
                self.apply_to_topic(header, body);
            }
        }
    }

    fn apply_to_topic(&mut self, header: &Header, body: &[u8]) {
        let Some(topic) = self.topics.get_mut(&header.topic) else { return };
        match header.kind {
            Kind::Message => {
                self.dedup.note(header.topic, header.event, &Ticket::stored(), header.sequence);
                topic.hold_end(header.sequence.saturating_add(1));
                topic.extend();
            }
            Kind::Moved => topic.hold_end(header.sequence.saturating_add(1)),
            Kind::TopicState => {
                topic.base = header.sequence;
                topic.set_state(body);
                topic.hold_end(header.sequence);
                topic.extend();
            }
            Kind::Channel | Kind::ChannelDeleted | Kind::Operations if body.len() < 4 => {}
            Kind::Channel => {
                let id = read_u32(body, 0);
                // What was below may be gone with its segments: its sequences must not be given out again.
                topic.hold_end(header.sequence);
                if let Some(name) = Name::from_bytes(&body[4..]) {
                    let known = topic.channels.values().any(|channel| channel.id == id);
                    if !known {
                        let snapshot = Snapshot { floor: header.sequence, ..Snapshot::default() };
                        let mut channel = ChannelState::new(id, &snapshot);
                        channel.reach(topic.base);
                        topic.channels.insert(name, channel);
                        topic.extend();
                    }
                }
            }
            Kind::ChannelDeleted => {
                let id = read_u32(body, 0);
                topic.channels.retain(|_, channel| channel.id != id);
                topic.base = header.sequence;
                topic.hold_end(header.sequence);
            }
            Kind::Operations => {
                let id = read_u32(body, 0);
                let channel = topic.channels.values_mut().find(|channel| channel.id == id);
                if let Some(channel) = channel {
                    operations::apply(&mut channel.machine, &body[4..]);
                    channel.reached = channel.reached.max(channel.machine.end());
                    // The records of what was passed over may be damaged: its sequences must not be given out again.
                    let reached = channel.reached;
                    topic.hold_end(reached);
                }
            }
            Kind::Topic | Kind::TopicDeleted | Kind::Footer => {}
        }
    }

    /// Makes topics as long as the log has them, whatever of it is damaged: a new message under a sequence that was given
    /// out would be taken for the old one. Puts counters where a fresh process has them, and reports the damage.
    fn finish_restore(&mut self, damage: &[Damage]) {
        self.log.keep_topics(|topic| self.topics.contains_key(&topic));
        for topic in self.topics.values_mut() {
            topic.hold_end(self.log.kept(topic.id).iter().map(|(_, end)| *end).max().unwrap_or(0));
            topic.extend();
            topic.channels.values_mut().for_each(|channel| channel.message_count = 0);
        }
        self.topics.go_on_at_ends();
        damage.iter().for_each(|damage| self.log.report(damage));
        if !damage.is_empty() {
            self.drop_lost();
        }
    }
}

#[cfg(test)]
mod tests;
