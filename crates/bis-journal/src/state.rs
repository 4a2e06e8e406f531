//! Everything that the journal knows, behind one lock: topics, channels, what is pending for the next commit.
//!
//! Nothing here waits or writes: publishes land in a buffer, which the committer takes, writes and reports back.
//! A message is shown to channels when its commit is reported, never before.

mod backlog;
mod commit;
mod dedup;
pub(crate) mod delivery;
mod lost;
pub(crate) mod operations;
pub(crate) mod replay;
pub(crate) mod restore;
mod retention;
mod room;
mod sampler;
mod suspicions;
pub(crate) mod ticket;
pub(crate) mod topic;
pub(crate) mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::name::Name;
use bis_broker::NumberMap;
use bis_broker::channel::{Snapshot, Time};
use foldhash::HashMap;
use tokio::sync::watch;

use crate::files::batch::BATCH_HEADER;
use crate::files::checkpoint::{ChannelPoint, Checkpoint, TopicPoint};
use crate::files::fetch::Fetched;
use crate::files::log::Log;
use crate::files::record::{self, Header, Kind};
use crate::files::writer::Position;
use backlog::BacklogBound;
pub(crate) use commit::Batch;
use dedup::Dedup;
use operations::Operations;
use suspicions::Suspicions;
pub(crate) use ticket::{Progress, Ticket};
use topic::{ChannelState, Topic};

/// So many bytes, of all clients together, wait for the next commit while the one before is written; then no more is read.
const MAX_UNCOMMITTED: usize = 32 * 1024 * 1024;
/// A suspension of the machine that is shorter is not noticed.
const SUSPENSION: Duration = Duration::from_secs(1);

/// What a publisher says of a message beside its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageFacts {
    /// Not delivered before; zero is at once.
    pub due: Time,
    /// The hash of its ordering key; see [`record::key_hash`].
    pub key: Option<u64>,
    /// The event's id; zeros when unknown.
    pub event: [u8; 16],
    /// A handler publishes it, so that another message can be settled.
    pub is_from_handler: bool,
}

/// What a publish must know of a topic, and no more: publishes to many topics in turn find little of them in the caches.
#[derive(Debug, Clone, Copy)]
struct Intake {
    topic: u32,
    /// The sequence of the next message taken.
    next_sequence: u64,
}

/// Messages of one publish, in a buffer that is to be committed. Their records follow each other.
#[derive(Debug)]
struct Pending {
    topic: u32,
    /// How many there are.
    count: u32,
    /// The sequence of the first.
    sequence: u64,
    /// Where its record is in the buffer.
    place: usize,
    /// The length of their bodies together.
    bytes: usize,
}

impl Pending {
    /// Sequence and place of each.
    fn each<'a>(&self, buffer: &'a [u8]) -> impl Iterator<Item = (u64, usize)> + use<'a> {
        let (sequence, mut place) = (self.sequence, self.place);
        (0..u64::from(self.count)).map(move |index| {
            if index > 0 {
                place += record::read_u32(buffer, place) as usize;
            }
            (sequence + index, place)
        })
    }
}

/// Topics, channels, and what waits for the next commit.
pub struct State {
    pub(crate) topics: NumberMap<u32, Topic>,
    names: HashMap<Name, Intake>,
    pub(crate) log: Log,
    pub(crate) dedup: Dedup,
    pub(crate) backlog: BacklogBound,
    suspicions: Suspicions,
    /// Why nothing is accepted any more.
    pub(crate) failure: Option<Arc<str>>,
    /// Why only what settles other messages is accepted: the disk is full.
    pub(crate) no_room: Option<Arc<str>>,
    /// How many bytes that may still take of the reserve.
    lendable: u64,
    pub(crate) stopping: bool,
    /// Every connection has ended: the committer may write the rest and stop.
    pub(crate) drained: bool,
    next_topic: u32,
    next_channel: u32,
    next_consumer: u64,
    /// For how long the machine was suspended before leases were looked at last.
    suspended: Duration,
    /// The commit that is to be taken next.
    ticket: Ticket,
    /// The commit that was taken last.
    taken: Ticket,
    buffer: Vec<u8>,
    messages: Vec<Pending>,
    moving: Vec<Pending>,
    /// The next commit has a message that has no right to the reserve.
    is_ordinary: bool,
    /// Channels with operations for the next commit.
    dirty: BTreeMap<u32, BTreeSet<Name>>,
    /// A commit failed: what it defined must be written again.
    redefine: bool,
    /// Counts changes of which topics and channels there are, for those who tell others of them.
    topology: watch::Sender<u64>,
    /// New topics keep their messages until [`State::release_topic`], because somebody knows channels of theirs.
    holds_new_topics: bool,
    held_topics: Vec<Name>,
    /// Topics and channels that the next commit defines. They are written once more by the commit after it, so that no
    /// single damaged record hides all their messages.
    defined: Vec<u8>,
    /// What the last commit defined.
    defined_before: Vec<u8>,
}

impl State {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            topics: NumberMap::default(),
            names: HashMap::default(),
            log,
            dedup: Dedup::new(),
            backlog: BacklogBound::default(),
            suspicions: Suspicions::default(),
            failure: None,
            no_room: None,
            lendable: 0,
            stopping: false,
            drained: false,
            next_topic: 1,
            next_channel: 1,
            next_consumer: 1,
            suspended: Duration::ZERO,
            ticket: Ticket::default(),
            taken: Ticket::stored(),
            buffer: vec![0; BATCH_HEADER],
            messages: Vec::new(),
            moving: Vec::new(),
            is_ordinary: false,
            dirty: BTreeMap::new(),
            redefine: false,
            topology: watch::Sender::new(0),
            holds_new_topics: false,
            held_topics: Vec::new(),
            defined: Vec::new(),
            defined_before: Vec::new(),
        }
    }

    /// Takes messages for a topic, which is made if it is not there; each is stored with these facts. Returns the topic's
    /// number and the ticket with which it is decided whether they are stored. An event that is known (see [`Dedup`]) is not
    /// taken again: the ticket is the first one's.
    pub fn publish<'a>(
        &mut self,
        topic: &str,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        facts: &MessageFacts,
        date: Time,
    ) -> Result<(u32, Ticket), Arc<str>> {
        self.check_open()?;
        let settles = facts.is_from_handler || room::is_for_dead_letters(topic);
        self.check_room(settles)?;
        let before = self.buffer.len();
        let taken = self.take(topic, bodies, facts, date);
        self.lend(self.buffer.len() - before);
        self.is_ordinary |= !settles;
        Ok(taken)
    }

    fn take<'a>(
        &mut self,
        topic: &str,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        facts: &MessageFacts,
        date: Time,
    ) -> (u32, Ticket) {
        let Some(intake) = self.names.get_mut(topic) else {
            self.make_topic(topic);
            return self.take(topic, bodies, facts, date);
        };
        let id = intake.topic;
        if let Some(ticket) = self.dedup.known(id, facts.event) {
            return (id, ticket);
        }
        self.dedup.note(id, facts.event, &self.ticket);
        let (first, place, mut bytes) = (intake.next_sequence, self.buffer.len(), 0);
        for body in bodies {
            let sequence = intake.next_sequence;
            let mut header = Header::new(Kind::Message, id, sequence);
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
            self.messages.push(Pending { topic: id, count, sequence: first, place, bytes });
        }
        (id, self.ticket.clone())
    }

    /// The machine was suspended for so long since the start: consumers have the rest of their leases that they had before.
    pub(crate) fn wake_up(&mut self, suspended: Duration) {
        // The two clocks that tell it are not read at the same instant.
        if suspended < self.suspended + SUSPENSION {
            return;
        }
        let by = suspended - self.suspended;
        self.suspended = suspended;
        for channel in self.topics.values_mut().flat_map(|topic| topic.channels.values_mut()) {
            channel.machine.prolong_leases(by);
        }
    }

    /// Refuses when the router is failed or stopping.
    pub fn check_open(&self) -> Result<(), Arc<str>> {
        match &self.failure {
            Some(reason) => Err(Arc::clone(reason)),
            None if self.stopping => Err("exiting".into()),
            None => Ok(()),
        }
    }

    /// Why nothing is accepted any more, once the journal has failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes what was read because the log lacked it. It is at hand at least until the lock is given up.
    pub fn supply(&mut self, fetched: Fetched) {
        self.log.supply(fetched);
    }

    /// The topic of this number.
    pub fn topic(&self, number: u32) -> Option<&Topic> {
        self.topics.get(&number)
    }

    /// The number of the topic of this name.
    pub fn number_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).map(|intake| intake.topic)
    }

    /// The topic of this name, made if it is not there.
    pub fn make_topic(&mut self, name: &str) -> u32 {
        if let Some(id) = self.number_of(name) {
            return id;
        }
        let name = Name::new(name);
        let id = self.next_topic;
        self.next_topic += 1;
        self.names.insert(name.clone(), Intake { topic: id, next_sequence: 0 });
        let mut topic = Topic::new(id, name.clone());
        if self.holds_new_topics {
            topic.held = true;
            self.held_topics.push(name.clone());
        }
        self.topics.insert(id, topic);
        self.note_topology();
        for buffer in [&mut self.buffer, &mut self.defined] {
            record::append(buffer, &Header::new(Kind::Topic, id, 0), name.as_str().as_bytes());
        }
        if self.holds_new_topics {
            self.note_topic(id);
        }
        id
    }

    /// The channel of this name, made if it is not there. It begins with what the topic has not shown to any channel.
    pub fn make_channel(&mut self, topic: u32, name: &str) {
        let Some(topic) = self.topics.get_mut(&topic) else { return };
        if topic.channels.contains_key(name) {
            return;
        }
        let topic_id = topic.id;
        let start = topic.base;
        let id = self.next_channel;
        self.next_channel += 1;
        let channel = ChannelState::new(id, &Snapshot { floor: start, ..Snapshot::default() });
        topic.channels.insert(Name::new(name), channel);
        topic.extend();
        self.note_topology();
        for buffer in [&mut self.buffer, &mut self.defined] {
            append_channel(buffer, id, name, topic_id, start);
        }
    }

    /// Removes a topic with all it has. False when it is not there.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        let Some(Intake { topic: id, .. }) = self.names.remove(name) else { return false };
        if let Some(mut topic) = self.topics.remove(&id) {
            topic.channels.values_mut().for_each(ChannelState::wake_all);
        }
        self.dirty.remove(&id);
        self.log.forget_topic(id);
        self.note_topology();
        self.forget_defined();
        record::append(&mut self.buffer, &Header::new(Kind::TopicDeleted, id, 0), &[]);
        true
    }

    /// Removes a channel. False when it is not there.
    pub fn delete_channel(&mut self, topic: u32, name: &str) -> bool {
        let Some(topic) = self.topics.get_mut(&topic) else { return false };
        let Some(mut channel) = topic.channels.remove(name) else { return false };
        channel.wake_all();
        let header = Header::new(Kind::ChannelDeleted, topic.id, topic.base);
        record::append(&mut self.buffer, &header, &channel.id.to_le_bytes());
        if let Some(channels) = self.dirty.get_mut(&topic.id) {
            channels.remove(name);
        }
        self.note_topology();
        self.forget_defined();
        true
    }

    /// Drops what no channel was shown; what channels have stays, as on nsqd.
    pub fn empty_topic(&mut self, topic: u32) {
        let Some(emptied) = self.topics.get_mut(&topic) else { return };
        emptied.base = emptied.end;
        let channels = emptied.channels.iter_mut();
        let changed: Vec<Name> = channels
            .filter_map(|(name, channel)| (channel.pass_over(emptied.end) > 0).then(|| name.clone()))
            .collect();
        changed.iter().for_each(|name| self.mark_dirty(topic, name));
        self.note_topic(topic);
    }

    /// Shows channels nothing new, or shows them everything again.
    pub fn pause_topic(&mut self, topic: u32, paused: bool) {
        if let Some(topic) = self.topics.get_mut(&topic) {
            topic.paused = paused;
            topic.extend();
        }
        self.note_topic(topic);
    }

    /// Notes a topic's state: paused or held, and where its first channel begins.
    fn note_topic(&mut self, topic: u32) {
        if let Some(topic) = self.topics.get(&topic) {
            let header = Header::new(Kind::TopicState, topic.id, topic.base);
            record::append(&mut self.buffer, &header, &[topic.flags()]);
        }
    }

    fn note_topology(&self) {
        self.topology.send_modify(|changes| *changes += 1);
    }

    /// Counts changes of which topics and channels there are, for those who tell others of them.
    pub fn topology(&self) -> watch::Receiver<u64> {
        self.topology.subscribe()
    }

    /// New topics keep their messages from now on until [`State::release_topic`], because somebody knows channels of theirs; or
    /// they do so no more.
    pub fn hold_new_topics(&mut self, holds: bool) {
        self.holds_new_topics = holds;
    }

    /// The new topics that wait to be released, since the last call.
    pub fn take_held_topics(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.held_topics)
    }

    /// A new topic has the channels that were known of it, made now, and shows them what was published since.
    pub fn release_topic<'a>(&mut self, name: &str, channels: impl IntoIterator<Item = &'a str>) {
        let Some(id) = self.number_of(name) else { return };
        for channel in channels {
            self.make_channel(id, channel);
        }
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if std::mem::take(&mut topic.held) {
            topic.extend();
            self.note_topic(id);
        }
    }

    /// Topics that were held when the router ended are held again, or released when nobody is to be asked any more.
    pub fn hold_again(&mut self) {
        let held = self.topics.values().filter(|topic| topic.held).map(|topic| topic.name.clone());
        let held: Vec<Name> = held.collect();
        if self.holds_new_topics {
            self.held_topics.extend(held);
        } else {
            held.iter().for_each(|name| self.release_topic(name.as_str(), []));
        }
    }

    /// The channel has operations for the journal.
    pub(crate) fn mark_dirty(&mut self, topic: u32, channel: &Name) {
        let channels = self.dirty.entry(topic).or_default();
        if !channels.contains(channel.as_str()) {
            channels.insert(channel.clone());
        }
    }

    /// The topics in the order of their names.
    pub fn topics_by_name(&self) -> Vec<&Topic> {
        let mut topics: Vec<&Topic> = self.topics.values().collect();
        topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        topics
    }

    /// Whether somebody waits for the next commit.
    pub fn is_awaited(&self) -> bool {
        self.buffer.len() > BATCH_HEADER
    }

    /// Bytes that wait for the next commit.
    pub fn uncommitted(&self) -> usize {
        self.buffer.len() - BATCH_HEADER
    }

    /// The commit that clients must wait for before more is taken from them; `None` when there is room.
    pub fn crowded(&self) -> Option<Ticket> {
        (self.uncommitted() >= MAX_UNCOMMITTED).then(|| self.ticket.clone())
    }

    /// Whether there are operations that nobody waits for.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.defined_before.is_empty()
    }

    /// The ticket of what was taken last.
    pub fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// The ticket with which all that clients wait for is decided; one that holds when nothing is awaited.
    pub fn last_awaited(&self) -> Ticket {
        match self.is_awaited() {
            true => self.ticket.clone(),
            false if self.taken.is_decided() => Ticket::stored(),
            false => self.taken.clone(),
        }
    }

    /// The state for a checkpoint at a position.
    pub(crate) fn checkpoint(&self, position: Position) -> Checkpoint {
        let topics = self.topics.values().map(|topic| TopicPoint {
            id: topic.id,
            name: topic.name.as_str().to_owned(),
            end: topic.end,
            base: topic.base,
            paused: topic.paused,
            held: topic.held,
            channels: topic
                .channels
                .iter()
                .map(|(name, channel)| {
                    let snapshot = channel.machine.snapshot();
                    ChannelPoint::new(channel.id, name.as_str(), channel.reached, &snapshot)
                })
                .collect(),
        });
        Checkpoint {
            segment: position.segment,
            offset: position.offset,
            next_batch: position.next_batch,
            next_topic: self.next_topic,
            next_channel: self.next_channel,
            topics: topics.collect(),
            events: self.dedup.to_bytes(),
            sealed: self.log.sealed().map(|(segment, sealed)| (segment, sealed.bytes)).collect(),
            moved: self.log.moved().iter().collect(),
        }
    }

    /// A batch that defines every topic and channel, with room for its header; `None` when there is none. Each segment
    /// begins with one, so that it can be read without a checkpoint.
    pub(crate) fn definitions(&self) -> Option<Vec<u8>> {
        let mut definitions = vec![0; BATCH_HEADER];
        for topic in self.topics.values() {
            let header = Header::new(Kind::Topic, topic.id, 0);
            record::append(&mut definitions, &header, topic.name.as_str().as_bytes());
            let header = Header::new(Kind::TopicState, topic.id, topic.base);
            record::append(&mut definitions, &header, &[topic.flags()]);
            for (name, channel) in &topic.channels {
                append_channel(
                    &mut definitions,
                    channel.id,
                    name.as_str(),
                    topic.id,
                    channel.machine.floor(),
                );
                if channel.machine.is_paused() {
                    let header = Header::new(Kind::Operations, topic.id, 0);
                    record::append(&mut definitions, &header, &Operations::pause_of(channel.id));
                }
            }
        }
        (definitions.len() > BATCH_HEADER).then_some(definitions)
    }

    /// Something was deleted: it must not be defined again.
    fn forget_defined(&mut self) {
        self.defined.clear();
        self.defined_before.clear();
    }
}

fn append_channel(buffer: &mut Vec<u8>, id: u32, name: &str, topic: u32, start: u64) {
    let mut body = id.to_le_bytes().to_vec();
    body.extend_from_slice(name.as_bytes());
    record::append(buffer, &Header::new(Kind::Channel, topic, start), &body);
}
