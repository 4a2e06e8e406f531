//! A topic and its channels in memory. It does no I/O and holds no message.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bis_broker::channel::{Channel, ConsumerId, Limits, ProcessId, Snapshot, Vanishing};
use tokio::sync::Notify;

use super::missed::Missed;
use super::sampler::Sampler;
use crate::files::operations::Operations;
use crate::files::record::read_u64;
use crate::name::Name;
use crate::options::Retention;

/// A topic.
#[derive(Debug)]
pub struct Topic {
    pub(crate) id: u32,
    pub(crate) name: Name,
    pub(crate) paused: bool,
    /// It is new, and shows its channels nothing until all that others know of are made.
    pub(crate) held: bool,
    /// One past the last message that consumers may see.
    pub(crate) end: u64,
    /// Where the next channel begins: behind what channels were shown. While there is no channel, while the topic is paused
    /// or held, it stays, so that what waits is for every channel that will be there.
    pub(crate) base: u64,
    pub(crate) channels: BTreeMap<Name, ChannelState>,
    /// Channels have not been shown what was stored last.
    pub(crate) is_behind: bool,
    /// What was asked of it, in place of the journal's own retention.
    pub(crate) retention: Option<Retention>,
    pub(crate) missed: Missed,
    /// Messages and bytes taken since the start of the process.
    pub(crate) message_count: u64,
    pub(crate) message_bytes: u64,
}

const PAUSED: u8 = 1;
const HELD: u8 = 2;

impl Topic {
    pub(crate) fn new(id: u32, name: Name) -> Self {
        Self {
            id,
            name,
            paused: false,
            held: false,
            end: 0,
            base: 0,
            channels: BTreeMap::new(),
            is_behind: false,
            retention: None,
            missed: Missed::default(),
            message_count: 0,
            message_bytes: 0,
        }
    }

    /// The messages of a range that a channel has not finished, or was not shown; some more than once.
    pub(crate) fn unhandled_between(&self, first: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let unseen = if self.channels.is_empty() { self.base.max(first)..end } else { end..end };
        unseen.chain(self.channels.values().flat_map(move |channel| {
            channel.machine.unfinished_between(first, end).chain(channel.reached.max(first)..end)
        }))
    }

    /// Whether every channel has finished a message.
    pub(crate) fn has_handled(&self, sequence: u64) -> bool {
        self.unhandled_between(sequence, sequence + 1).next().is_none()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether its channels are shown nothing new.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Its channels with their names, in the order of these.
    pub fn channels(&self) -> impl Iterator<Item = (&Name, &ChannelState)> {
        self.channels.iter()
    }

    /// The channel of this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelState> {
        self.channels.get(name)
    }

    /// Messages taken since the start of the process.
    #[must_use]
    pub fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Messages that reached no consumer.
    #[must_use]
    pub fn missed(&self) -> Missed {
        self.missed
    }

    /// Bytes of bodies taken since the start of the process.
    #[must_use]
    pub fn message_bytes(&self) -> u64 {
        self.message_bytes
    }

    /// Messages that no channel was shown.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.end - self.base
    }

    /// Its state as records have it.
    fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        flag(self.paused, PAUSED) | flag(self.held, HELD)
    }

    /// Its state as the body of a record: flags, and the retention in nanoseconds and bytes where it has one of its own.
    pub(crate) fn state_record(&self) -> Vec<u8> {
        let mut body = vec![self.flags()];
        if let Some(retention) = self.retention {
            let age = u64::try_from(retention.max_age.as_nanos()).unwrap_or(u64::MAX);
            body.extend_from_slice(&age.to_le_bytes());
            body.extend_from_slice(&retention.max_bytes.to_le_bytes());
        }
        body
    }

    /// Reads [`Topic::state_record`].
    pub(crate) fn set_state(&mut self, body: &[u8]) {
        self.set_flags(body.first().copied().unwrap_or(0));
        self.retention = (body.len() >= 17).then(|| Retention {
            max_age: Duration::from_nanos(read_u64(body, 1)),
            max_bytes: read_u64(body, 9),
        });
    }

    fn set_flags(&mut self, flags: u8) {
        self.paused = flags & PAUSED != 0;
        self.held = flags & HELD != 0;
    }

    /// Whether channels see what is stored.
    pub(crate) fn is_shown(&self) -> bool {
        !self.paused && !self.held
    }

    /// It is known, at a start, that the topic had every sequence below `end`.
    pub(crate) fn hold_end(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Shows the channels what was stored, unless the topic is paused or held.
    pub(crate) fn extend(&mut self) {
        let mut woken = Vec::new();
        self.extend_quietly(&mut woken);
        woken.iter().for_each(|consumer| consumer.notify_one());
    }

    /// The same, and leaves it to the caller to wake these consumers.
    pub(crate) fn extend_quietly(&mut self, woken: &mut Vec<Arc<Notify>>) {
        if !self.is_shown() {
            return;
        }
        for channel in self.channels.values_mut() {
            let new = self.end.saturating_sub(channel.reached);
            channel.reach(self.end);
            channel.take_waiting(usize::try_from(new).unwrap_or(usize::MAX), woken);
        }
        if !self.channels.is_empty() {
            self.base = self.end;
        }
    }
}

/// A channel with its consumers.
#[derive(Debug)]
pub struct ChannelState {
    pub(crate) id: u32,
    pub(crate) machine: Channel,
    pub(crate) operations: Operations,
    pub(crate) consumers: BTreeMap<ConsumerId, Consumer>,
    /// Consumers that have room and found nothing, the one that has waited longest first.
    waiting: VecDeque<ConsumerId>,
    /// What the consumers that are here asked for. It is not stored: without a consumer nothing is handed out.
    pub(crate) order: DeliveryOrder,
    /// How much of the topic it has been shown.
    pub(crate) reached: u64,
    /// Messages it was shown since the start of the process.
    pub(crate) message_count: u64,
    /// Unfinished messages that were dropped since the start of the process: by the backlog's bound, or by a replay that
    /// went forward.
    pub(crate) dropped: u64,
    pub(crate) sampled_out: u64,
}

impl ChannelState {
    /// What it has ready, in flight and deferred, and its counters.
    #[must_use]
    pub fn machine(&self) -> &Channel {
        &self.machine
    }

    /// Its consumers, in the order in which they came.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.consumers.iter().map(|(id, consumer)| (*id, consumer))
    }

    /// Messages it was shown since the start of the process.
    #[must_use]
    pub fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Unfinished messages that were dropped since the start of the process.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Messages that were finished without being delivered, because a client takes samples, since the start of the process.
    #[must_use]
    pub fn sampled_out(&self) -> u64 {
        self.sampled_out
    }

    pub(crate) fn new(id: u32, snapshot: &Snapshot) -> Self {
        Self {
            id,
            machine: Channel::restore(snapshot, Limits::default()),
            operations: Operations::default(),
            consumers: BTreeMap::new(),
            waiting: VecDeque::new(),
            order: DeliveryOrder::Any,
            reached: snapshot.floor,
            message_count: 0,
            dropped: 0,
            sampled_out: 0,
        }
    }

    /// A consumer comes with its wish: the first one's holds, and order by key holds as soon as one wants it.
    pub(crate) fn add(&mut self, id: ConsumerId, consumer: Consumer, order: DeliveryOrder) {
        if self.consumers.is_empty() || order == DeliveryOrder::ByKey {
            self.order = order;
        }
        self.consumers.insert(id, consumer);
    }

    /// The consumer has room and found nothing: it is woken when there is something.
    pub(crate) fn wait(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.get_mut(&id)
            && !consumer.is_waiting
        {
            consumer.is_waiting = true;
            self.waiting.push_back(id);
        }
    }

    /// Wakes as many waiting consumers as there are messages. A consumer that leaves messages behind wakes the next one, so that
    /// none is forgotten and a message does not wake a thousand idle consumers.
    pub(crate) fn wake(&mut self, messages: usize) {
        let mut woken = Vec::new();
        self.take_waiting(messages, &mut woken);
        woken.iter().for_each(|consumer| consumer.notify_one());
    }

    /// Those that [`ChannelState::wake`] wakes, who must be woken.
    fn take_waiting(&mut self, messages: usize, woken: &mut Vec<Arc<Notify>>) {
        let mut left = messages;
        while left > 0 {
            let Some(id) = self.waiting.pop_front() else { return };
            // Those that have gone are still in the line.
            if let Some(consumer) = self.consumers.get_mut(&id) {
                consumer.is_waiting = false;
                woken.push(Arc::clone(&consumer.wake));
                left -= 1;
            }
        }
    }

    /// Notes for the journal what is to be remembered of a message that came back.
    pub(crate) fn note(&mut self, sequence: u64) {
        if let Some(recalled) = self.machine.recalled(sequence) {
            self.operations.recalled(&recalled);
        }
    }

    /// Wakes every consumer: what they wait for, or whether they may wait at all, has changed.
    pub(crate) fn wake_all(&mut self) {
        self.waiting.clear();
        for consumer in self.consumers.values_mut() {
            consumer.is_waiting = false;
            consumer.wake.notify_one();
        }
    }

    pub(crate) fn reach(&mut self, end: u64) {
        if end > self.reached {
            self.message_count += end - self.reached;
            self.reached = end;
            self.machine.extend(end);
        }
    }

    /// What it was not shown so far is not for it. Returns how many messages it passes over.
    pub(crate) fn pass_over(&mut self, end: u64) -> u64 {
        let from = self.reached;
        if end <= from {
            return 0;
        }
        self.reached = end;
        self.machine.extend(end);
        self.operations.skipped(from, end);
        self.machine.skip(from, end)
    }
}

/// In which order a channel hands out its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// As many at once as there are takers; keys do not matter.
    Any,
    /// Messages of one key one at a time, in the order of their sequences.
    ByKey,
}

/// A subscribed connection.
#[derive(Debug)]
pub struct Consumer {
    /// Makes its connection look for messages, or notice that it was closed.
    wake: Arc<Notify>,
    /// Whether it is in the line of those that wait.
    is_waiting: bool,
    /// Which process it is part of.
    process: Process,
    /// How many messages it takes at once.
    pub ready: u32,
    /// It wants no more messages and settles what it has.
    pub is_closing: bool,
    /// What it means for its messages when it goes: what nsqd's clients expect, or what a client of Bis does.
    pub(crate) vanishing: Vanishing,
    /// Which messages it is given, if not all.
    pub(crate) sampler: Option<Sampler>,
    /// How many messages it was given.
    pub delivered: u64,
    /// How many of them it has finished.
    pub finished: u64,
    /// How many of them it has given back.
    pub requeued: u64,
}

impl Consumer {
    pub(crate) fn new(id: ConsumerId, joining: Joining) -> Self {
        Self {
            wake: joining.wake,
            is_waiting: false,
            process: joining.process,
            ready: 0,
            is_closing: false,
            vanishing: joining.vanishing,
            sampler: Sampler::new(joining.sample_rate, joining.sample_seed ^ id.0 << 32),
            delivered: 0,
            finished: 0,
            requeued: 0,
        }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

/// A consumer that subscribes, and how.
#[derive(Debug)]
pub struct Joining {
    /// In which order it wants its messages.
    pub order: DeliveryOrder,
    /// Which process it is part of.
    pub process: Process,
    /// What wakes it when there may be something for it, or when its channel is gone.
    pub wake: Arc<Notify>,
    /// How long a message may stay unanswered.
    pub timeout: Duration,
    /// The percentage of messages that it is given; zero is all.
    pub sample_rate: u32,
    /// Makes the sequence of samples.
    pub sample_seed: u64,
    /// What it means for its messages when it goes.
    pub vanishing: Vanishing,
}

/// What tells one consumer's process from another's.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// The process as it says itself.
    pub id: Option<ProcessId>,
    /// The address that it comes from.
    pub host: String,
    /// The host's name, as the consumer says.
    pub hostname: String,
    /// The consumer's name for itself.
    pub client: String,
}

impl Process {
    /// Whether both are one, as far as can be told: as they say themselves, else by the same host and the same name for itself.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        if let (Some(own), Some(other)) = (self.id, other.id) {
            return own == other;
        }
        self.client == other.client && self.hostname == other.hostname && self.host == other.host
    }
}
