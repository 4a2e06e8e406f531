//! From the disk back to the state: checkpoint, then every record after it.

use std::io;
use std::sync::Arc;

use bis_broker::channel::{Snapshot, Time};
use bis_nsq::Name;

use super::State;
use super::operations;
use super::topic::{ChannelState, Topic};
use crate::journal::checkpoint::{Checkpoint, TopicPoint};
use crate::journal::disk::Disk;
use crate::journal::fetch::read_whole;
use crate::journal::footer::{self, SegmentOffsets};
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
    let mut state = from_checkpoint(log, &checkpoint);
    let mut damage = Vec::new();
    let mut end = Position { segment: newest, ..checkpoint.position() };
    let mut is_sealed = false;
    for segment in segments {
        let file = disk.open(&segment_name(segment))?;
        let footers = footer::read(&*file, segment)?;
        if let Some(offsets) = footers.as_ref().filter(|_| segment < checkpoint.segment) {
            let bytes = file.length()?;
            state.log.add_sealed(segment, file, bytes, offsets, now.0);
            continue;
        }
        let known_durable = match segment.cmp(&checkpoint.segment) {
            std::cmp::Ordering::Less => file.length()?,
            std::cmp::Ordering::Equal => checkpoint.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let mut offsets = SegmentOffsets::new();
        let bytes = read_whole(&*file)?;
        let found = scan::scan(segment, &bytes, known_durable, |record, offset| {
            let Some(header) = record::header(record) else { return };
            if header.kind == Kind::Message
                && let Ok(offset) = u32::try_from(offset)
            {
                offsets.entry(header.topic).or_default().push(header.sequence, offset);
            }
            if (segment, offset) >= (checkpoint.segment, checkpoint.offset) {
                state.apply(&header, &record[RECORD_HEADER..]);
            }
        });
        damage.extend(found.damage);
        end.next_batch = end.next_batch.max(found.next_batch);
        if segment == newest && footers.is_none() {
            end.offset = found.end;
            state.log.restore_active(offsets, found.end);
        } else {
            is_sealed |= segment == newest;
            state.log.add_sealed(segment, file, bytes.len() as u64, &offsets, now.0);
        }
    }
    let writer = if is_sealed {
        let next = newest + 1;
        let writer = Writer::create(Arc::clone(disk), next, end.next_batch, segment_bytes, now.0)?;
        state.log.restart(next, writer.file());
        writer
    } else {
        Writer::resume(Arc::clone(disk), end, segment_bytes, now.0)?
    };
    damage.iter().for_each(|found| state.log.report(found));
    state.finish_restore();
    Ok(Restored { state, writer, damage })
}

fn from_checkpoint(log: Log, checkpoint: &Checkpoint) -> State {
    let mut state = State::new(log);
    state.next_topic = checkpoint.next_topic.max(1);
    state.next_channel = checkpoint.next_channel.max(1);
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
                topic.end = topic.end.max(header.sequence + 1);
                topic.next_sequence = topic.end;
                if !topic.paused {
                    topic.channels.values_mut().for_each(|channel| channel.reach(topic.end));
                }
            }
            Kind::TopicState => {
                topic.base = header.sequence;
                topic.paused = body.first() == Some(&1);
                topic.extend();
            }
            Kind::Channel | Kind::ChannelDeleted | Kind::Operations if body.len() < 4 => {}
            Kind::Channel => {
                let id = read_u32(body, 0);
                self.next_channel = self.next_channel.max(id.saturating_add(1));
                if let Ok(name) = Name::new(&body[4..]) {
                    let known = topic.channels.values().any(|channel| channel.id == id);
                    if !known {
                        let snapshot = Snapshot { floor: header.sequence, ..Snapshot::default() };
                        let mut channel = ChannelState::new(id, &snapshot);
                        if !topic.paused {
                            channel.reach(topic.end);
                        }
                        topic.channels.insert(name, channel);
                    }
                }
            }
            Kind::ChannelDeleted => {
                let id = read_u32(body, 0);
                topic.channels.retain(|_, channel| channel.id != id);
                topic.base = header.sequence;
            }
            Kind::Operations => {
                let id = read_u32(body, 0);
                let channel = topic.channels.values_mut().find(|channel| channel.id == id);
                if let Some(channel) = channel {
                    operations::apply(&mut channel.machine, &body[4..]);
                }
            }
            Kind::Topic | Kind::TopicDeleted | Kind::Footer => {}
        }
    }

    /// Puts counters where a fresh process has them.
    fn finish_restore(&mut self) {
        self.log.keep_topics(|topic| self.topics.contains_key(&topic));
        for channel in self.topics.values_mut().flat_map(|topic| topic.channels.values_mut()) {
            channel.message_count = 0;
        }
    }
}
