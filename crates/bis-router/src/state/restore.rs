//! From the disk back to the state: checkpoint, then every record after it.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use bis_broker::channel::{Snapshot, Time};
use bis_nsq::Name;
use bytes::Bytes;

use super::State;
use super::operations;
use super::topic::{ChannelState, Topic};
use crate::journal::batch::{BATCH_HEADER, Batch, SEGMENT_HEADER};
use crate::journal::checkpoint::{Checkpoint, TopicPoint};
use crate::journal::disk::Disk;
use crate::journal::fetch::{read_up_to, read_whole};
use crate::journal::footer::{self, SegmentOffsets, TRAILER};
use crate::journal::log::Log;
use crate::journal::record::{self, Header, Kind, RECORD_HEADER, read_u32};
use crate::journal::scan::{self, Damage};
use crate::journal::writer::{Position, Writer, segment_name, segment_of};

/// A router's state as the disk had it, and the journal to go on with.
pub(crate) struct Restored {
    pub(crate) state: State,
    pub(crate) writer: Writer,
    /// What was durable once and does not hold now.
    pub(crate) damage: Vec<Damage>,
}

/// Reads the folder; an empty one is a new journal.
pub(crate) fn restore(disk: &Arc<dyn Disk>, segment_bytes: u64, now: Time) -> io::Result<Restored> {
    let (checkpoint, checkpoint_damaged) = Checkpoint::load(disk)?;
    if checkpoint_damaged {
        tracing::error!(
            "the newest checkpoint is damaged; going on from the one before, or from the journal alone"
        );
    }
    let checkpoint = checkpoint.unwrap_or_default();
    let mut segments: Vec<u64> = disk.list()?.iter().filter_map(|name| segment_of(name)).collect();
    segments.sort_unstable();
    let Some(newest) = segments.last().copied() else {
        let first = checkpoint.segment.max(1);
        let writer = Writer::create(Arc::clone(disk), first, checkpoint.next_batch, segment_bytes, now.0)?;
        let log = Log::new(first, writer.file());
        return Ok(Restored { state: from_checkpoint(log, &checkpoint), writer, damage: Vec::new() });
    };
    let log = Log::new(newest, disk.open(&segment_name(newest))?);
    let mut restoring = Restoring {
        disk: Arc::clone(disk),
        state: from_checkpoint(log, &checkpoint),
        damage: Vec::new(),
        saved: Vec::new(),
        end: Position { segment: newest, ..checkpoint.position() },
        written: newest_written(disk, &segments)?,
        // Its position counts as part of the checkpoint as long as the journal does not go beyond.
        is_sealed: newest < checkpoint.segment,
        now,
        checkpoint,
    };
    for segment in segments {
        restoring.read_segment(segment)?;
    }
    restoring.finish(segment_bytes)
}

/// A start in progress.
struct Restoring {
    disk: Arc<dyn Disk>,
    checkpoint: Checkpoint,
    state: State,
    damage: Vec<Damage>,
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
    fn read_segment(&mut self, segment: u64) -> io::Result<()> {
        let file = self.disk.open(&segment_name(segment))?;
        let length = file.length()?;
        let (newest, after) = (self.end.segment, (self.checkpoint.segment, self.checkpoint.offset));
        let footers = footer::read(&*file, segment)?;
        if let Some(offsets) = footers.as_ref().filter(|_| segment < after.0) {
            self.state.log.add_sealed(segment, file, length, offsets, self.now.0);
            return Ok(());
        }
        let mut known_durable = match segment.cmp(&after.0) {
            _ if segment < self.written => length,
            Ordering::Less => length,
            Ordering::Equal => after.1,
            Ordering::Greater => 0,
        };
        let mut offsets = SegmentOffsets::default();
        let mut bytes = read_whole(&*file)?;
        if footers.is_some() {
            bytes.truncate(bytes.len() - TRAILER);
            known_durable = known_durable.min(bytes.len() as u64);
        }
        let state = &mut self.state;
        let found = scan::scan(segment, &bytes, known_durable, |record, offset| {
            let Some(header) = record::header(record) else { return };
            if header.kind == Kind::Message
                && let Ok(offset) = u32::try_from(offset)
            {
                offsets.entry(header.topic).or_default().push(header.sequence, offset);
            }
            if (segment, offset) >= after {
                if header.kind == Kind::Moved {
                    state.log.note_moved((header.topic, header.sequence), segment, offset);
                }
                state.apply(&header, &record[RECORD_HEADER..]);
            }
        });
        self.damage.extend(found.damage);
        self.end.next_batch = self.end.next_batch.max(found.next_batch);
        if footers.is_none() {
            self.saved.extend(found.saved);
        }
        if segment == newest && footers.is_none() && !self.is_sealed {
            self.end.offset = found.end;
            self.state.log.restore_active(offsets, found.end);
            return Ok(());
        }
        self.is_sealed |= segment == newest;
        let mut length = length;
        if footers.is_none() && segment >= self.written {
            // The next one could not be begun. What follows the end was never durable, but will look so once that one is
            // written to.
            length = found.end;
            file.set_length(length)?;
            file.sync()?;
        }
        // The footers know of messages whose records are damaged, too.
        let offsets = footers.unwrap_or(offsets);
        self.state.log.add_sealed(segment, file, length, &offsets, self.now.0);
        Ok(())
    }

    fn finish(mut self, segment_bytes: u64) -> io::Result<Restored> {
        let disk = Arc::clone(&self.disk);
        let mut writer = if self.is_sealed {
            let next = self.end.segment.max(self.checkpoint.segment) + 1;
            let writer = Writer::create(disk, next, self.end.next_batch, segment_bytes, self.now.0)?;
            self.state.log.restart(next, writer.file());
            writer
        } else {
            Writer::resume(disk, self.end, segment_bytes, self.now.0)?
        };
        self.write_saved(&mut writer)?;
        self.damage.iter().for_each(|found| self.state.log.report(found));
        self.state.finish_restore();
        Ok(Restored { state: self.state, writer, damage: self.damage })
    }

    /// Writes what was saved of a torn batch as a batch of its own.
    fn write_saved(&mut self, writer: &mut Writer) -> io::Result<()> {
        if self.saved.is_empty() {
            return Ok(());
        }
        tracing::warn!(bytes = self.saved.len(), "records after the journal's torn end hold and are kept");
        let mut buffer = vec![0; BATCH_HEADER];
        buffer.append(&mut self.saved);
        let written = writer.write(&mut buffer)?;
        writer.sync()?;
        let mut at = BATCH_HEADER;
        while let Some(length) = record::length_at(&buffer[at..]) {
            let record = &buffer[at..at + length];
            if let Some(header) = record::header(record) {
                let offset = written.records_at + (at - BATCH_HEADER) as u64;
                let message = (header.topic, header.sequence);
                match header.kind {
                    Kind::Message => self.state.log.note(message.0, message.1, offset),
                    Kind::Moved => self.state.log.note_moved(message, written.segment, offset),
                    _ => {}
                }
                self.state.apply(&header, &record[RECORD_HEADER..]);
            }
            at += length;
        }
        self.state.log.keep_recent(
            written.segment,
            written.records_at,
            Bytes::from(buffer).slice(BATCH_HEADER..),
        );
        Ok(())
    }
}

/// The newest segment with a batch; the newest at all when none has one.
fn newest_written(disk: &Arc<dyn Disk>, segments: &[u64]) -> io::Result<u64> {
    for segment in segments.iter().rev() {
        let file = disk.open(&segment_name(*segment))?;
        let first = read_up_to(&*file, SEGMENT_HEADER as u64, BATCH_HEADER)?;
        // The first one may be damaged; few segments have none, and these are short.
        if Batch::decode(*segment, &first).is_some() || scan::has_batch(*segment, &read_whole(&*file)?) {
            return Ok(*segment);
        }
    }
    Ok(segments.last().copied().unwrap_or_default())
}

fn from_checkpoint(log: Log, checkpoint: &Checkpoint) -> State {
    let mut state = State::new(log);
    state.next_topic = checkpoint.next_topic.max(1);
    state.next_channel = checkpoint.next_channel.max(1);
    state.dedup.restore(&checkpoint.events);
    for (message, (segment, offset)) in &checkpoint.moved {
        state.log.note_moved(*message, *segment, u64::from(*offset));
    }
    for point in &checkpoint.topics {
        if let Ok(topic) = restore_topic(point) {
            state.names.insert(topic.name.clone(), topic.id);
            state.topics.insert(topic.id, topic);
        }
    }
    state
}

fn restore_topic(point: &TopicPoint) -> Result<Topic, bis_nsq::NameError> {
    let mut topic = Topic::new(point.id, Name::new(&point.name)?);
    (topic.end, topic.next_sequence, topic.base) = (point.end, point.end, point.base);
    topic.paused = point.paused;
    for at in &point.channels {
        let mut channel = ChannelState::new(at.id, &at.snapshot());
        channel.reach(at.reached);
        topic.channels.insert(Name::new(&at.name)?, channel);
    }
    Ok(topic)
}

impl State {
    /// Does what a record says, once more.
    fn apply(&mut self, header: &Header, body: &[u8]) {
        match header.kind {
            Kind::Topic => self.apply_topic(header.topic, body),
            Kind::TopicDeleted => {
                if let Some(topic) = self.topics.remove(&header.topic) {
                    self.names.remove(topic.name.as_str());
                }
            }
            Kind::Footer => {}
            _ => self.apply_to_topic(header, body),
        }
    }

    fn apply_topic(&mut self, id: u32, name: &[u8]) {
        let Ok(name) = Name::new(name) else { return };
        self.next_topic = self.next_topic.max(id.saturating_add(1));
        if !self.topics.contains_key(&id) {
            self.names.insert(name.clone(), id);
            self.topics.insert(id, Topic::new(id, name));
        }
    }

    fn apply_to_topic(&mut self, header: &Header, body: &[u8]) {
        let Some(topic) = self.topics.get_mut(&header.topic) else { return };
        match header.kind {
            Kind::Message => {
                self.dedup.note(header.topic, header.event, 0);
                topic.hold_end(header.sequence.saturating_add(1));
                topic.extend();
            }
            Kind::Moved => topic.hold_end(header.sequence.saturating_add(1)),
            Kind::TopicState => {
                topic.base = header.sequence;
                topic.paused = body.first() == Some(&1);
                topic.hold_end(header.sequence);
                topic.extend();
            }
            Kind::Channel | Kind::ChannelDeleted | Kind::Operations if body.len() < 4 => {}
            Kind::Channel => {
                let id = read_u32(body, 0);
                // What was below may be gone with its segments: its sequences must not be given out again.
                topic.hold_end(header.sequence);
                self.next_channel = self.next_channel.max(id.saturating_add(1));
                if let Ok(name) = Name::new(&body[4..]) {
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
    /// out would be taken for the old one. Puts counters where a fresh process has them.
    fn finish_restore(&mut self) {
        self.log.keep_topics(|topic| self.topics.contains_key(&topic));
        for topic in self.topics.values_mut() {
            topic.hold_end(self.log.kept(topic.id).iter().map(|(_, end)| *end).max().unwrap_or(0));
            topic.extend();
            topic.channels.values_mut().for_each(|channel| channel.message_count = 0);
        }
    }
}
