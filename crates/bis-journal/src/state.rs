//! Everything that the journal knows, behind one lock: topics, channels, what is pending for the next commit.
//!
//! Nothing here waits or writes: publishes land in a buffer, which the committer takes, writes and reports back.
//! A message is shown to channels when its commit is reported, never before.

mod admission;
mod backlog;
mod batch;
mod commit;
mod dedup;
pub(crate) mod delivery;
mod lost;
pub(crate) mod missed;
mod next_commit;
pub(crate) mod replay;
pub(crate) mod restore;
mod retention;
mod room;
mod sampler;
mod suspicions;
pub(crate) mod ticket;
pub(crate) mod topic;
mod topics;
mod topology;
pub(crate) mod totals;

use std::sync::Arc;
use std::time::Duration;

use bis_broker::channel::{Snapshot, Time};
use tokio::sync::watch;

use crate::files::checkpoint::Checkpoint;
use crate::files::fetch::Fetched;
use crate::files::log::Log;
use crate::files::record::{Header, Kind};
use crate::files::writer::Position;
use crate::name::Name;
use crate::options::Retention;
use admission::Admission;
use backlog::BacklogBound;
pub(crate) use batch::Batch;
use dedup::Dedup;
use next_commit::NextCommit;
use suspicions::Suspicions;
pub(crate) use ticket::{Place, Progress, Ticket};
use topic::{ChannelState, Topic};
use topics::Topics;
use topology::Topology;

/// A suspension of the machine that is shorter is not noticed.
const SUSPENSION: Duration = Duration::from_secs(1);

/// What a publisher says about a message besides its body.
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

/// Topics, channels, and what waits for the next commit.
pub struct State {
    pub(crate) topics: Topics,
    pub(crate) log: Log,
    next: NextCommit,
    pub(crate) dedup: Dedup,
    pub(crate) admission: Admission,
    pub(crate) backlog: BacklogBound,
    suspicions: Suspicions,
    topology: Topology,
    /// Something is written that a crash of the machine could take.
    pub(crate) is_unsynced: bool,
    /// The committer knows that there are operations that nobody waits for.
    is_flush_known: bool,
    next_consumer: u64,
    /// For how long the machine was suspended before leases were looked at last.
    suspended: Duration,
}

/// What happened to messages that were handed over.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The number of their topic.
    pub topic: u32,
    /// Where the first of them is, and the commit that decides whether they are stored.
    pub place: Place,
    /// Whether their event was known and is not stored again: the place is where it was stored before.
    pub is_duplicate: bool,
}

impl State {
    pub(crate) fn new(log: Log, topics: Topics) -> Self {
        Self {
            topics,
            log,
            next: NextCommit::new(),
            dedup: Dedup::new(),
            admission: Admission::default(),
            backlog: BacklogBound::default(),
            suspicions: Suspicions::default(),
            topology: Topology::default(),
            is_unsynced: false,
            is_flush_known: false,
            next_consumer: 1,
            suspended: Duration::ZERO,
        }
    }

    /// Takes messages for a topic, which is made if it is not there; each is stored with these facts. An event that is
    /// known (see [`Dedup`]) is not taken again.
    ///
    /// # Errors
    /// Why nothing is taken: the journal is failed or stopping, or there is no room.
    pub fn publish<'a>(
        &mut self,
        topic: &str,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        facts: &MessageFacts,
        date: Time,
    ) -> Result<Accepted, Arc<str>> {
        self.admission.check_open()?;
        let settles = facts.is_from_handler || admission::is_for_dead_letters(topic);
        self.check_backlog(settles)?;
        self.admission.check_room(settles)?;
        let before = self.next.bytes();
        let taken = self.take(topic, bodies, facts, date);
        self.admission.lend(self.next.bytes() - before);
        if !settles {
            self.next.note_ordinary();
        }
        Ok(taken)
    }

    fn take<'a>(
        &mut self,
        topic: &str,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        facts: &MessageFacts,
        date: Time,
    ) -> Accepted {
        let Some(intake) = self.topics.intake(topic) else {
            self.make_topic(topic);
            return self.take(topic, bodies, facts, date);
        };
        let number = intake.topic;
        if let Some(place) = self.dedup.known(number, facts.event) {
            if let Some(topic) = self.topics.get_mut(&number) {
                topic.missed.duplicate(&topic.name);
            }
            return Accepted { topic: number, place, is_duplicate: true };
        }
        let (ticket, first) = (self.next.ticket(), intake.next_sequence);
        self.dedup.note(number, facts.event, ticket, first);
        let place = ticket.place(number, first);
        self.next.add_messages(intake, bodies, facts, date);
        Accepted { topic: number, place, is_duplicate: false }
    }

    /// The machine was suspended for this long since the start: consumers have the rest of their leases that they had before.
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

    /// Refuses when the journal is failed or stopping.
    ///
    /// # Errors
    /// Then, with the reason.
    pub fn check_open(&self) -> Result<(), Arc<str>> {
        self.admission.check_open()
    }

    /// Why nothing is accepted any more, once the journal has failed.
    pub fn failure(&self) -> Option<&str> {
        self.admission.failure.as_deref()
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
        self.topics.number_of(name)
    }

    /// The topic of this name, made if it is not there.
    pub fn make_topic(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number_of(name) {
            return number;
        }
        let topic = self.topics.make(name);
        let number = topic.id;
        self.next.define(&Header::new(Kind::Topic, number, 0), name.as_bytes());
        if self.topology.holds_new_topics {
            topic.held = true;
            self.topology.hold(topic.name.clone());
            self.note_topic(number);
        }
        self.topology.changed();
        number
    }

    /// The channel of this name, made if it is not there. It begins with what the topic has not shown to any channel.
    pub fn make_channel(&mut self, topic: u32, name: &str) {
        if self.topics.get(&topic).is_none_or(|topic| topic.channels.contains_key(name)) {
            return;
        }
        let number = self.topics.number_channel();
        let Some(topic) = self.topics.get_mut(&topic) else { return };
        let start = topic.base;
        let channel = ChannelState::new(number, &Snapshot { floor: start, ..Snapshot::default() });
        topic.channels.insert(Name::new(name), channel);
        topic.extend();
        let header = Header::new(Kind::Channel, topic.id, start);
        self.next.define(&header, &topics::channel_body(number, name));
        self.topology.changed();
    }

    /// Removes a topic with all it has. False when it is not there.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        let Some(mut topic) = self.topics.remove(name) else { return false };
        topic.channels.values_mut().for_each(ChannelState::wake_all);
        self.log.forget_topic(topic.id);
        self.next.forget_topic(topic.id);
        self.next.add(&Header::new(Kind::TopicDeleted, topic.id, 0), &[]);
        self.topology.changed();
        true
    }

    /// Removes a channel. False when it is not there.
    pub fn delete_channel(&mut self, topic: u32, name: &str) -> bool {
        let Some(topic) = self.topics.get_mut(&topic) else { return false };
        let Some(mut channel) = topic.channels.remove(name) else { return false };
        channel.wake_all();
        topic.missed.deleted(&topic.name, name, channel.machine.unfinished());
        let header = Header::new(Kind::ChannelDeleted, topic.id, topic.base);
        self.next.forget_channel(topic.id, name);
        self.next.add(&header, &channel.id.to_le_bytes());
        self.topology.changed();
        true
    }

    /// Drops what no channel was shown; what channels have stays, as on nsqd.
    pub fn empty_topic(&mut self, topic: u32) {
        let Some(emptied) = self.topics.get_mut(&topic) else { return };
        emptied.base = emptied.end;
        let channels = emptied.channels.iter_mut();
        let changed: Vec<Name> = channels
            .filter_map(|(name, channel)| {
                let dropped = channel.pass_over(emptied.end);
                channel.dropped += dropped;
                (dropped > 0).then(|| name.clone())
            })
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
            self.next.add(&Header::new(Kind::TopicState, topic.id, topic.base), &topic.state_record());
        }
    }

    /// What every channel of a topic, which is made if it is not there, has finished is kept for this long, and no longer
    /// replayed. The ticket tells when that is durable.
    ///
    /// # Errors
    /// When the journal takes nothing any more.
    pub fn retain(&mut self, topic: &str, retention: Retention) -> Result<Ticket, Arc<str>> {
        self.check_open()?;
        let id = self.make_topic(topic);
        let Some(topic) = self.topics.get_mut(&id) else { return Ok(self.last_awaited()) };
        if topic.retention.replace(retention) != Some(retention) {
            self.note_topic(id);
        }
        Ok(self.last_awaited())
    }

    /// Counts changes to the set of topics and channels, for those who report them to others.
    pub fn topology(&self) -> watch::Receiver<u64> {
        self.topology.subscribe()
    }

    /// New topics keep their messages from now on until [`State::release_topic`], because somebody knows channels of theirs; or
    /// they no longer do so.
    pub fn hold_new_topics(&mut self, holds: bool) {
        self.topology.holds_new_topics = holds;
    }

    /// The new topics that wait to be released, since the last call.
    pub fn take_held_topics(&mut self) -> Vec<Name> {
        self.topology.take_held()
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
        if self.topology.holds_new_topics {
            held.into_iter().for_each(|name| self.topology.hold(name));
        } else {
            held.iter().for_each(|name| self.release_topic(name.as_str(), []));
        }
    }

    /// The channel has operations for the journal.
    pub(crate) fn mark_dirty(&mut self, topic: u32, channel: &Name) {
        self.next.mark_dirty(topic, channel);
    }

    /// The topics in the order of their names.
    pub fn topics_by_name(&self) -> Vec<&Topic> {
        self.topics.by_name()
    }

    /// Whether somebody waits for the next commit.
    pub fn is_awaited(&self) -> bool {
        self.next.is_awaited()
    }

    /// Bytes that wait for the next commit.
    pub fn uncommitted(&self) -> usize {
        self.next.bytes()
    }

    /// The commit that clients must wait for before more is taken from them; `None` when there is room.
    pub fn crowded(&self) -> Option<Ticket> {
        self.next.is_crowded().then(|| self.ticket())
    }

    /// Whether the committer must be told that there are operations that nobody waits for: once is enough until it has taken
    /// them.
    pub fn take_flush(&mut self) -> bool {
        self.is_dirty() && !std::mem::replace(&mut self.is_flush_known, true)
    }

    /// Whether there are operations that nobody waits for.
    pub fn is_dirty(&self) -> bool {
        self.next.is_dirty()
    }

    /// The ticket of what was taken last.
    pub fn ticket(&self) -> Ticket {
        self.next.ticket().clone()
    }

    /// The ticket with which all that clients wait for is decided; one that holds when nothing is awaited.
    pub fn last_awaited(&self) -> Ticket {
        self.next.last_awaited()
    }

    /// The state for a checkpoint at a position.
    pub(crate) fn checkpoint(&self, position: Position) -> Checkpoint {
        let (next_topic, next_channel) = self.topics.next_numbers();
        Checkpoint {
            segment: position.segment,
            offset: position.offset,
            next_batch: position.next_batch,
            next_topic,
            next_channel,
            topics: self.topics.points(),
            events: self.dedup.to_bytes(),
            sealed: self.log.sealed().map(|(segment, sealed)| (segment, sealed.bytes)).collect(),
            moved: self.log.moved().iter().collect(),
        }
    }

    /// A batch that defines every topic and channel, with room for its header; `None` when there is none.
    pub(crate) fn definitions(&self) -> Option<Vec<u8>> {
        self.topics.definitions()
    }
}
