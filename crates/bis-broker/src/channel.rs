//! The channel: which message of a topic goes to which consumer, and when again.
//!
//! This is the state machine behind both of Bis's own brokers, so that they behave alike: the in-process broker is
//! this over memory, the router is this over its journal. It never does I/O, never reads a clock, never holds a
//! message's body, and knows nothing of sockets or tasks.
//!
//! A topic numbers its messages densely from 0. A channel keeps a *cursor*: what lies between the cursor and the
//! topic's end was never handed out and costs no memory. Below the *floor* everything is finished. In between:
//! - finished messages take a bit each ([`SequenceSet`]);
//! - *held* messages take an entry each: in flight, ready again, or deferred;
//! - *listed* messages take one to three bytes each: parked behind an earlier message with its ordering key, or never
//!   handed out and due at a far time (more than about a minute ahead).
//!
//! Both are bounded ([`Limits`]): at a bound the cursor waits until there is room again.
//!
//! How an owner drives it:
//! - after messages were stored: [`Channel::extend`], then hand out;
//! - a consumer has room: [`Channel::next`], then read the body of the sequence it returns;
//! - the consumer answers: [`Channel::finish`], [`Channel::retry`], [`Channel::release`], [`Channel::touch`];
//! - the consumer is gone: [`Channel::disconnect`];
//! - at [`Channel::next_deadline`]: [`Channel::tick`], then hand out;
//! - messages are to come again, or never: [`Channel::rewind`], [`Channel::skip`], [`Channel::empty`].
//!
//! # Attempts and suspects
//! An attempt is a delivery that ended in an answer that counts. When a consumer vanishes, any message that it held may be
//! the one that ended its process. With [`Vanishing::Suspects`] they come back uncounted, as *suspects*, and wait in a line
//! of their own: a consumer is given one of them at a time, beside everything else. When it vanishes again, the suspect that it
//! held is *blamed*: it has used up an attempt, and has one more crash. So a message that kills its process collects crashes, one
//! for each after the first, its neighbours do not, and new messages go on meanwhile. An answer clears the suspicion.
//!
//! A new message that kills the process may do so while a harmless suspect is out, which is blamed for it. So while a suspect
//! with a crash is out, its owner gives nothing else to that process, for a short time ([`Channel::is_blamed`]): what happens
//! then says something about that suspect.
//!
//! A connection that breaks says nothing about messages when its process lives on. The process shows that by coming back:
//! [`Channel::acquit`].
//!
//! # Generations
//! A replay makes messages come again that were handled, so that a message's life begins anew: the next *generation* of it. It
//! counts how often the message was replayed, and goes out with each delivery.
//!
//! # What is durable
//! Five facts, which an owner with a journal writes down and gives back after a restart: a message was finished
//! ([`Channel::recall_finished`]), came back with this many attempts and crashes, due at a time, under suspicion or not
//! ([`Channel::recall`]), a range was skipped ([`Channel::skip`]), everything from a sequence on is to come again
//! ([`Channel::reopen`]), the channel was paused or not. What was in flight when the owner itself ended is as it was before
//! it was handed out, no more attempts and no more suspicion: an owner that ends says nothing about its consumers.

mod far;
mod generations;
mod handing_out;
mod held;
mod keys;
mod leases;
mod replay;
mod sequence_list;
mod sequence_set;
mod settling;
mod snapshot;
mod time;
mod words;

pub use replay::Rewound;
pub use sequence_set::{SequenceSet, SequenceSetError};
pub use snapshot::{Recalled, Snapshot};
pub use time::Time;
pub use words::{
    ConsumerId, Counters, Facts, FinishIdleError, Handout, Lease, Limits, NotInFlight, Parting, Peeked,
    ProcessId, Source, Standing, Suspects, Taker, Vanishing,
};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::NumberMap;
use far::Far;
use generations::Generations;
use held::{Held, State};
use keys::Keys;
use leases::Leases;

/// Where a message that is handed out comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// From where the cursor stands.
    New,
    /// It came back.
    Ready,
    /// It is a suspect.
    Suspect,
}

/// The state of one channel of one topic. See the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Channel {
    limits: Limits,
    paused: bool,
    floor: u64,
    cursor: u64,
    end: u64,
    /// What is finished above the floor. What it says about sequences below means nothing.
    finished: SequenceSet,
    held: NumberMap<u64, Held>,
    /// Held messages that the cursor has not passed (again), after it went back or after a restart.
    ahead: SequenceSet,
    /// Facts from before a restart about messages that were not looked at again: the cursor has not reached them, or
    /// they are listed.
    recalled: BTreeMap<u64, Recalled>,
    leases: Leases,
    deferred: BTreeSet<(Time, u64)>,
    /// May hold messages that are not ready any more.
    ready: VecDeque<u64>,
    /// The line of suspects; may hold messages that are no longer suspects.
    suspects: VecDeque<u64>,
    /// Suspects in flight, each with its consumer: at most as many as there are consumers.
    suspects_out: BTreeMap<u64, ConsumerId>,
    keys: Keys,
    far: Far,
    generations: Generations,
    in_flight_by: NumberMap<ConsumerId, usize>,
    last_from: Origin,
    /// The last time that was passed in.
    now: Time,
    /// The last look at what comes next stopped before it had seen everything.
    looking: bool,
    counters: Counters,
}

impl Channel {
    /// An empty channel whose first message is `start`: what is below does not belong to it.
    #[must_use]
    pub fn new(start: u64, limits: Limits) -> Self {
        Self::restore(&Snapshot { floor: start, ..Snapshot::default() }, limits)
    }

    /// A channel as it was when the snapshot was taken, with nothing in flight. Call [`Channel::extend`] next. Far lists
    /// that cannot be read are made anew by walking.
    #[must_use]
    pub fn restore(snapshot: &Snapshot, limits: Limits) -> Self {
        let mut channel = Self {
            limits,
            paused: snapshot.paused,
            floor: snapshot.floor,
            cursor: snapshot.floor,
            end: snapshot.floor,
            finished: snapshot.finished.clone(),
            held: NumberMap::default(),
            ahead: SequenceSet::default(),
            recalled: snapshot.recalled.iter().map(|recalled| (recalled.sequence, *recalled)).collect(),
            leases: Leases::default(),
            deferred: BTreeSet::new(),
            ready: VecDeque::new(),
            suspects: VecDeque::new(),
            suspects_out: BTreeMap::new(),
            keys: Keys::default(),
            far: Far::from_snapshot(&snapshot.far).unwrap_or_default(),
            generations: Generations::from_steps(&snapshot.generations),
            in_flight_by: NumberMap::default(),
            last_from: Origin::New,
            now: Time::ZERO,
            looking: false,
            counters: Counters::default(),
        };
        channel.far.retain(|sequence| !channel.finished.contains(sequence));
        channel.raise_floor(snapshot.floor);
        channel
    }

    /// What must survive a restart, now. What is in flight is in it as it was before it was handed out.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let held = self.held.iter().filter(|(_, held)| held.is_worth_recalling());
        let held = held.map(|(sequence, held)| held.recalled(*sequence));
        let mut recalled: Vec<Recalled> = held.chain(self.recalled.values().copied()).collect();
        recalled.sort_unstable_by_key(|recalled| recalled.sequence);
        let mut finished = self.finished.clone();
        finished.remove_below(self.floor);
        Snapshot {
            floor: self.floor,
            finished,
            recalled,
            far: self.far.to_snapshot(),
            generations: self.generations.steps().to_vec(),
            paused: self.paused,
        }
    }

    /// Gives back a fact from before a restart: the message has this many attempts, is due at that time, and is a suspect or
    /// not. Later facts replace earlier ones. Only for a channel that has handed out nothing yet.
    pub fn recall(&mut self, recalled: Recalled) {
        let sequence = recalled.sequence;
        if sequence < self.cursor || self.is_finished(sequence) {
            return;
        }
        if recalled == (Recalled { sequence, ..Recalled::default() }) {
            self.recalled.remove(&sequence);
        } else {
            self.recalled.insert(sequence, recalled);
        }
    }

    /// Gives back a fact from before a restart: the message was finished. Unknown sequences are ignored.
    pub fn recall_finished(&mut self, sequence: u64) {
        if sequence < self.end && !self.is_finished(sequence) {
            self.remove(sequence);
        }
    }

    /// The topic now holds every message below `end`. Never goes back.
    pub fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Stops handing out; what is in flight may still be answered.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Hands out again.
    pub fn unpause(&mut self) {
        self.paused = false;
    }

    /// Whether the channel is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Up to `limit` unfinished messages after the sequence `after`, in order; consumes nothing.
    ///
    /// # Errors
    /// The source's.
    pub fn peek<S: Source>(
        &self,
        source: &mut S,
        after: Option<u64>,
        limit: usize,
        now: Time,
    ) -> Result<Vec<Peeked>, S::Error> {
        let after = after.map_or(0, |after| after.saturating_add(1));
        let mut peeked = Vec::new();
        for sequence in self.unfinished_between(after, self.end) {
            if peeked.len() >= limit {
                break;
            }
            peeked.extend(self.peek_one(source, sequence, now)?);
        }
        Ok(peeked)
    }

    /// The unfinished messages of a range, in order.
    pub fn unfinished_between(&self, start: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let (mut at, end) = (start.max(self.floor), end.min(self.end));
        std::iter::from_fn(move || {
            let next = if at < end { self.finished.end_of(at).unwrap_or(at) } else { end };
            at = next.saturating_add(1);
            (next < end).then_some(next)
        })
    }

    /// The lease of a message in flight.
    #[must_use]
    pub fn lease(&self, sequence: u64) -> Option<Lease> {
        let held = self.held.get(&sequence)?;
        let State::InFlight { consumer, delivered, until, .. } = held.state else { return None };
        Some(Lease { consumer, delivered, until, attempt: held.attempts })
    }

    /// Whether there may be something to hand out now. Messages that wait for their key or their time can make it true
    /// in vain.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.paused && (!self.ready.is_empty() || !self.suspects.is_empty() || self.cursor < self.end)
    }

    /// Whether suspects may be waiting for their turn.
    #[must_use]
    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// The consumers that hold a suspect.
    pub fn holders_of_suspects(&self) -> impl Iterator<Item = ConsumerId> + '_ {
        self.suspects_out.values().copied()
    }

    /// Whether a message is with a consumer, as a suspect that was blamed before.
    #[must_use]
    pub fn is_blamed(&self, sequence: u64, consumer: ConsumerId) -> bool {
        self.suspects_out.get(&sequence) == Some(&consumer)
            && self.held.get(&sequence).is_some_and(|held| held.crashes > 0)
    }

    /// How often the message was replayed.
    #[must_use]
    pub fn generation(&self, sequence: u64) -> u32 {
        self.generations.of(sequence)
    }

    /// What would be remembered after a restart of a message that is held now.
    #[must_use]
    pub fn recalled(&self, sequence: u64) -> Option<Recalled> {
        Some(self.held.get(&sequence)?.recalled(sequence))
    }

    /// Messages that wait for a consumer: never handed out, ready again, or parked behind their key.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let beyond = self.end.saturating_sub(self.cursor) - self.finished.count_from(self.cursor);
        let new = beyond - self.ahead.count_from(self.cursor) - self.far.count_from(self.cursor);
        new + (self.held.len() - self.leases.len() - self.deferred.len()) as u64 + self.keys.parked()
    }

    /// Messages with consumers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.leases.len()
    }

    /// Messages with this consumer.
    #[must_use]
    pub fn in_flight_with(&self, consumer: ConsumerId) -> usize {
        self.in_flight_by.get(&consumer).copied().unwrap_or(0)
    }

    /// Messages that wait for their time. A delayed message that the cursor has not reached counts in
    /// [`Channel::depth`] until it does.
    #[must_use]
    pub fn deferred(&self) -> usize {
        self.deferred.len() + usize::try_from(self.far.len()).unwrap_or(usize::MAX)
    }

    /// Everything that is not finished.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.depth() + (self.leases.len() + self.deferred()) as u64
    }

    /// How many messages of a range are not finished.
    #[must_use]
    pub fn unfinished_count(&self, start: u64, end: u64) -> u64 {
        let (start, end) = (start.max(self.floor), end.min(self.end));
        if start >= end {
            return 0;
        }
        end - start - (self.finished.count_from(start) - self.finished.count_from(end))
    }

    /// How many messages from a sequence on are not finished.
    #[must_use]
    pub fn unfinished_from(&self, sequence: u64) -> u64 {
        let from = sequence.max(self.floor);
        self.end.saturating_sub(from) - self.finished.count_from(from)
    }

    /// The messages in flight, in no order.
    pub fn leases(&self) -> impl Iterator<Item = (u64, Lease)> + '_ {
        self.leases.sequences().filter_map(|sequence| Some((sequence, self.lease(sequence)?)))
    }

    /// What lies from here on was not handed out, or not again since a replay.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Everything below this sequence is finished.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// One past the last message that the channel knows of.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether a bound of [`Limits`] keeps new messages from being handed out.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        !self.has_room() && self.cursor < self.end
    }

    /// Whether the last [`Channel::next`] that returned nothing stopped before it had looked at everything, so as not to
    /// take long: call it again soon.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        self.looking
    }

    /// What happened since the channel was made or restored.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn is_finished(&self, sequence: u64) -> bool {
        sequence < self.floor || self.finished.contains(sequence)
    }

    fn has_room(&self) -> bool {
        self.held.len() < self.limits.held && self.keys.bytes() + self.far.bytes() <= self.limits.listed_bytes
    }

    fn peek_one<S: Source>(
        &self,
        source: &mut S,
        sequence: u64,
        now: Time,
    ) -> Result<Option<Peeked>, S::Error> {
        if let Some(held) = self.held.get(&sequence) {
            let standing = match held.state {
                State::InFlight { consumer, .. } => Standing::InFlight { consumer },
                State::Deferred { due, .. } if due > now => Standing::Deferred { due },
                State::Deferred { .. } | State::Ready => Standing::Ready,
            };
            return Ok(Some(Peeked { sequence, attempts: held.attempts, standing }));
        }
        let Some(facts) = source.facts(sequence)? else { return Ok(None) };
        let recalled = self.recalled.get(&sequence);
        let due = recalled.map_or(facts.due, |recalled| recalled.due.max(facts.due));
        let standing = if due > now { Standing::Deferred { due } } else { Standing::Ready };
        let attempts = recalled.map_or(0, |recalled| recalled.attempts);
        Ok(Some(Peeked { sequence, attempts, standing }))
    }

    /// Moves the floor to a sequence, and past what is finished there.
    fn raise_floor(&mut self, to: u64) {
        self.floor = if self.finished.is_empty() { to } else { self.finished.end_of(to).unwrap_or(to) };
        self.finished.forget_chunks_below(self.floor);
        self.cursor = self.cursor.max(self.floor);
    }
}
