//! The channel: which message of a topic goes to which consumer, and when again.
//!
//! This is the state machine behind both of Bis's own brokers, so that they behave alike: the in-process broker is
//! this over memory, the router is this over its journal. It never does I/O, never reads a clock, never holds a
//! message's body, and knows nothing of sockets or tasks.
//!
//! A topic numbers its messages densely from 0. A channel keeps a *cursor*: what lies between the cursor and the
//! topic's end was never handed out and costs no memory. Only what the cursor has passed and nobody has finished is
//! held, one entry each: in flight, ready again, deferred, or parked behind an earlier message with its ordering key.
//! Below the *floor* everything is finished.
//!
//! How an owner drives it:
//! - after messages were stored: [`Channel::extend`], then hand out;
//! - a consumer has room: [`Channel::next`], then read the body of the sequence it returns;
//! - the consumer answers: [`Channel::finish`], [`Channel::retry`], [`Channel::release`], [`Channel::touch`];
//! - the consumer is gone: [`Channel::disconnect`];
//! - at [`Channel::next_deadline`]: [`Channel::tick`], then hand out.
//!
//! A delivery is counted when it is handed out. Everything else that is durable is one of three facts, which an owner
//! with a journal writes down and gives back after a restart through [`Channel::recall`] and
//! [`Channel::recall_finished`]: a message was finished, has so many attempts, is due again at a time.

mod ranges;
mod snapshot;
mod time;
mod words;

pub use snapshot::{Recalled, Snapshot};
pub use time::Time;
pub use words::{
    ConsumerId, Counters, Facts, FinishIdleError, Handout, Lease, Limits, NotInFlight, Peeked, Source,
    Standing,
};

use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry as MapEntry};

use ranges::Ranges;

/// One held message: behind the cursor and not finished.
#[derive(Debug)]
struct Held {
    attempts: u32,
    key: Option<u64>,
    /// Whether it is the one message of its key that may move; the others of the key are parked.
    leads: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    InFlight {
        consumer: ConsumerId,
        delivered: Time,
        until: Time,
    },
    Ready {
        ticket: u64,
    },
    Deferred {
        due: Time,
    },
    /// Behind the message that leads its key, and not before its own time (from before a restart) either.
    Parked {
        due: Time,
    },
}

/// The state of one channel of one topic. See the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Channel {
    limits: Limits,
    paused: bool,
    floor: u64,
    cursor: u64,
    end: u64,
    finished: Ranges,
    held: BTreeMap<u64, Held>,
    /// Facts from before a restart about messages that the cursor has not reached again.
    recalled: BTreeMap<u64, Recalled>,
    leases: BTreeSet<(Time, u64)>,
    deferred: BTreeSet<(Time, u64)>,
    ready: BTreeMap<u64, u64>,
    next_ticket: u64,
    /// Messages of a key that wait for the one that leads; an entry exists as long as one leads.
    parked: HashMap<u64, BTreeSet<u64>>,
    in_flight_by: HashMap<ConsumerId, usize>,
    last_from_ready: bool,
    counters: Counters,
}

impl Channel {
    /// An empty channel whose first message is `start`: what is below does not belong to it.
    #[must_use]
    pub fn new(start: u64, limits: Limits) -> Self {
        Self::restore(&Snapshot { floor: start, ..Snapshot::default() }, limits)
    }

    /// A channel as it was when the snapshot was taken, with nothing in flight. Call [`Channel::extend`] next.
    #[must_use]
    pub fn restore(snapshot: &Snapshot, limits: Limits) -> Self {
        let mut finished = Ranges::from_ranges(snapshot.finished.iter().copied());
        let floor = finished.raise(snapshot.floor);
        Self {
            limits,
            paused: snapshot.paused,
            floor,
            cursor: floor,
            end: floor,
            finished,
            held: BTreeMap::new(),
            recalled: snapshot.recalled.iter().map(|recalled| (recalled.sequence, *recalled)).collect(),
            leases: BTreeSet::new(),
            deferred: BTreeSet::new(),
            ready: BTreeMap::new(),
            next_ticket: 0,
            parked: HashMap::new(),
            in_flight_by: HashMap::new(),
            last_from_ready: false,
            counters: Counters::default(),
        }
    }

    /// What must survive a restart, now. What is in flight comes back as unfinished, with its attempts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let held = self.held.iter().filter(|(_, held)| held.attempts > 0).map(|(sequence, held)| Recalled {
            sequence: *sequence,
            attempts: held.attempts,
            due: match held.state {
                State::Deferred { due } | State::Parked { due } => due,
                State::Ready { .. } | State::InFlight { .. } => Time::ZERO,
            },
        });
        Snapshot {
            floor: self.floor,
            finished: self.finished.iter().collect(),
            recalled: held.chain(self.recalled.values().copied()).collect(),
            paused: self.paused,
        }
    }

    /// Gives back a fact from before a restart: the message has so many attempts and is due at that time. Later facts
    /// replace earlier ones. Only for a channel that has handed out nothing yet.
    pub fn recall(&mut self, recalled: Recalled) {
        let sequence = recalled.sequence;
        if sequence < self.cursor || self.is_finished(sequence) {
            return;
        }
        if recalled.attempts == 0 && recalled.due == Time::ZERO {
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

    /// Drops what lies below `sequence`, held or not, in flight or not: retention took it, or the channel was emptied.
    pub fn forget_below(&mut self, sequence: u64) {
        let sequence = sequence.min(self.end);
        let dropped: Vec<u64> = self.held.range(..sequence).map(|(sequence, _)| *sequence).collect();
        for sequence in dropped {
            self.remove(sequence);
        }
        self.recalled = self.recalled.split_off(&sequence);
        if sequence > self.floor {
            self.floor = self.finished.raise(sequence);
            self.cursor = self.cursor.max(self.floor);
        }
    }

    /// Drops every message that the channel has, those in flight too.
    pub fn empty(&mut self) {
        self.forget_below(self.end);
    }

    /// Hands the next message to a consumer, in flight until `until`; `None` when there is nothing for it now.
    ///
    /// New messages come in the topic's order. Messages that came back take turns with new ones, so that neither a
    /// backlog nor a message that fails again and again keeps the other waiting. The facts of what is handed out were
    /// asked for in the same call.
    ///
    /// # Errors
    /// The source's: nothing was handed out, and the same message comes again at the next call.
    pub fn next<S: Source>(
        &mut self,
        source: &mut S,
        consumer: ConsumerId,
        now: Time,
        until: Time,
    ) -> Result<Option<Handout>, S::Error> {
        if self.paused {
            return Ok(None);
        }
        self.tick(now);
        let mut taken =
            if self.last_from_ready { self.take_new(source, now)? } else { self.take_ready(source)? };
        if taken.is_none() {
            taken = if self.last_from_ready { self.take_ready(source)? } else { self.take_new(source, now)? };
        }
        let Some(sequence) = taken else { return Ok(None) };
        let held = self.held.get_mut(&sequence).expect("a taken message is held");
        held.attempts = held.attempts.saturating_add(1);
        held.state = State::InFlight { consumer, delivered: now, until };
        let attempt = held.attempts;
        self.leases.insert((until, sequence));
        *self.in_flight_by.entry(consumer).or_default() += 1;
        self.counters.handed_out += 1;
        Ok(Some(Handout { sequence, attempt }))
    }

    /// The consumer is done with the message; it never comes again.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn finish(&mut self, sequence: u64, consumer: ConsumerId) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.remove(sequence);
        Ok(())
    }

    /// Finishes a message that no consumer has: a dead letter that was read by peeking, for one.
    ///
    /// # Errors
    /// When there is no such unfinished message, or it is in flight.
    pub fn finish_idle(&mut self, sequence: u64) -> Result<(), FinishIdleError> {
        if sequence >= self.end || self.is_finished(sequence) {
            return Err(FinishIdleError::NotFound(sequence));
        }
        if self.lease(sequence).is_some() {
            return Err(FinishIdleError::InFlight(sequence));
        }
        self.remove(sequence);
        Ok(())
    }

    /// The consumer gives the message back, to be delivered again at `due` (at once when that is not after `now`).
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn retry(
        &mut self,
        sequence: u64,
        consumer: ConsumerId,
        due: Time,
        now: Time,
    ) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.counters.requeued += 1;
        self.land(sequence);
        if due > now {
            self.defer(sequence, due);
        } else {
            self.make_ready(sequence);
        }
        Ok(())
    }

    /// The consumer never started on the message: it is ready again, and the delivery is not counted. Returns the
    /// attempts that remain.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn release(&mut self, sequence: u64, consumer: ConsumerId) -> Result<u32, NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.land(sequence);
        let held = self.held.get_mut(&sequence).expect("a message in flight is held");
        held.attempts -= 1;
        let attempts = held.attempts;
        self.make_ready(sequence);
        Ok(attempts)
    }

    /// Extends the lease of a message in flight to `until`.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn touch(&mut self, sequence: u64, consumer: ConsumerId, until: Time) -> Result<(), NotInFlight> {
        let lease = self.held_by(sequence, consumer)?;
        let held = self.held.get_mut(&sequence).expect("a message in flight is held");
        held.state = State::InFlight { consumer, delivered: lease.delivered, until };
        self.leases.remove(&(lease.until, sequence));
        self.leases.insert((until, sequence));
        Ok(())
    }

    /// The consumer is gone: everything that it held is ready again at once, counted. Returns how many came back.
    pub fn disconnect(&mut self, consumer: ConsumerId) -> usize {
        if !self.in_flight_by.contains_key(&consumer) {
            return 0;
        }
        let held_by =
            |held: &Held| matches!(held.state, State::InFlight { consumer: by, .. } if by == consumer);
        let back: Vec<u64> = self.held.iter().filter(|(_, held)| held_by(held)).map(|(at, _)| *at).collect();
        for &sequence in &back {
            self.land(sequence);
            self.make_ready(sequence);
        }
        self.counters.requeued += back.len() as u64;
        back.len()
    }

    /// Takes back what has run out of its lease and makes ready what is due. Returns how many leases ran out.
    pub fn tick(&mut self, now: Time) -> usize {
        let mut expired = 0;
        while let Some(&(until, sequence)) = self.leases.first() {
            if until > now {
                break;
            }
            self.land(sequence);
            self.make_ready(sequence);
            expired += 1;
        }
        self.counters.expired += expired as u64;
        while let Some(&(due, sequence)) = self.deferred.first() {
            if due > now {
                break;
            }
            self.deferred.pop_first();
            self.enter(sequence, Time::ZERO, now);
        }
        expired
    }

    /// When [`Channel::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let lease = self.leases.first().map(|(until, _)| *until);
        let deferred = self.deferred.first().map(|(due, _)| *due);
        lease.into_iter().chain(deferred).min()
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
        let mut sequence = after.map_or(self.floor, |after| after.saturating_add(1).max(self.floor));
        let mut peeked = Vec::new();
        while sequence < self.end && peeked.len() < limit {
            if let Some(end) = self.finished.end_of(sequence) {
                sequence = end;
                continue;
            }
            if let Some(found) = self.peek_one(source, sequence, now)? {
                peeked.push(found);
            }
            sequence += 1;
        }
        Ok(peeked)
    }

    /// The lease of a message in flight.
    #[must_use]
    pub fn lease(&self, sequence: u64) -> Option<Lease> {
        let held = self.held.get(&sequence)?;
        let State::InFlight { consumer, delivered, until } = held.state else { return None };
        Some(Lease { consumer, delivered, until, attempt: held.attempts })
    }

    /// Whether there may be something to hand out now. Messages that wait for their key or their time can make it true
    /// in vain.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.paused && (!self.ready.is_empty() || self.cursor < self.end)
    }

    /// Messages that wait for a consumer: never handed out, ready again, or parked behind their key.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let new = self.end.saturating_sub(self.cursor) - self.finished.count_from(self.cursor);
        new + (self.held.len() - self.leases.len() - self.deferred.len()) as u64
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
        self.deferred.len()
    }

    /// Everything that is not finished.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.depth() + (self.leases.len() + self.deferred.len()) as u64
    }

    /// Everything below this sequence is finished.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether the bound on held messages keeps new ones from being handed out.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.held.len() >= self.limits.held && self.cursor < self.end
    }

    /// What happened since the channel was made or restored.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn is_finished(&self, sequence: u64) -> bool {
        sequence < self.floor || self.finished.end_of(sequence).is_some()
    }

    fn held_by(&self, sequence: u64, consumer: ConsumerId) -> Result<Lease, NotInFlight> {
        self.lease(sequence).filter(|lease| lease.consumer == consumer).ok_or(NotInFlight { sequence })
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
                State::Deferred { due } => Standing::Deferred { due },
                State::Ready { .. } | State::Parked { .. } => Standing::Ready,
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

    /// The message that has been ready again for longest.
    fn take_ready<S: Source>(&mut self, source: &mut S) -> Result<Option<u64>, S::Error> {
        while let Some((&ticket, &sequence)) = self.ready.first_key_value() {
            if source.facts(sequence)?.is_none() {
                self.remove(sequence);
                continue;
            }
            self.ready.remove(&ticket);
            self.last_from_ready = true;
            return Ok(Some(sequence));
        }
        Ok(None)
    }

    /// Moves the cursor to the next message that can go out now, and past it. What cannot go yet becomes held.
    fn take_new<S: Source>(&mut self, source: &mut S, now: Time) -> Result<Option<u64>, S::Error> {
        while self.cursor < self.end && self.held.len() < self.limits.held {
            let sequence = self.cursor;
            if let Some(end) = self.finished.end_of(sequence) {
                self.cursor = end;
                continue;
            }
            let Some(facts) = source.facts(sequence)? else {
                self.remove(sequence);
                self.cursor = self.cursor.max(sequence + 1);
                continue;
            };
            self.cursor = sequence + 1;
            let recalled = self.recalled.remove(&sequence);
            let attempts = recalled.map_or(0, |recalled| recalled.attempts);
            let due = recalled.map_or(facts.due, |recalled| recalled.due.max(facts.due));
            let held = Held { attempts, key: facts.key, leads: false, state: State::Parked { due } };
            self.held.insert(sequence, held);
            if attempts == 0 && due > now {
                // A delayed publish holds up nobody of its key before its time.
                self.defer(sequence, due);
                continue;
            }
            if let Some(ticket) = self.enter(sequence, due, now) {
                self.ready.remove(&ticket);
                self.last_from_ready = false;
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// Places a held message that is in no queue: behind its key, in the deferred, or ready with the ticket returned.
    fn enter(&mut self, sequence: u64, due: Time, now: Time) -> Option<u64> {
        let held = self.held.get_mut(&sequence).expect("only held messages are placed");
        if let (Some(key), false) = (held.key, held.leads) {
            if let Some(waiting) = self.parked.get_mut(&key) {
                held.state = State::Parked { due };
                waiting.insert(sequence);
                return None;
            }
            held.leads = true;
            self.parked.insert(key, BTreeSet::new());
        }
        if due > now {
            self.defer(sequence, due);
            return None;
        }
        Some(self.make_ready(sequence))
    }

    fn make_ready(&mut self, sequence: u64) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.held.get_mut(&sequence).expect("only held messages become ready").state =
            State::Ready { ticket };
        self.ready.insert(ticket, sequence);
        ticket
    }

    fn defer(&mut self, sequence: u64, due: Time) {
        self.held.get_mut(&sequence).expect("only held messages are deferred").state =
            State::Deferred { due };
        self.deferred.insert((due, sequence));
    }

    /// Takes a message out of flight; the caller places it next.
    fn land(&mut self, sequence: u64) {
        let lease = self.lease(sequence).expect("only messages in flight land");
        self.leases.remove(&(lease.until, sequence));
        if let std::collections::hash_map::Entry::Occupied(mut count) =
            self.in_flight_by.entry(lease.consumer)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Marks a message finished, wherever it stands, and lets the next of its key go.
    fn remove(&mut self, sequence: u64) {
        self.recalled.remove(&sequence);
        if self.lease(sequence).is_some() {
            self.land(sequence);
        }
        if let MapEntry::Occupied(entry) = self.held.entry(sequence) {
            let held = entry.remove();
            match held.state {
                State::Ready { ticket } => {
                    self.ready.remove(&ticket);
                }
                State::Deferred { due } => {
                    self.deferred.remove(&(due, sequence));
                }
                State::InFlight { .. } | State::Parked { .. } => {}
            }
            if let Some(key) = held.key {
                self.leave_key(key, sequence, held.leads);
            }
        }
        self.counters.finished += 1;
        self.finished.insert(sequence);
        if self.finished.end_of(self.floor).is_some() {
            self.floor = self.finished.raise(self.floor);
            self.cursor = self.cursor.max(self.floor);
        }
    }

    fn leave_key(&mut self, key: u64, sequence: u64, leads: bool) {
        let Some(waiting) = self.parked.get_mut(&key) else { return };
        if !leads {
            waiting.remove(&sequence);
            return;
        }
        match waiting.pop_first() {
            None => {
                self.parked.remove(&key);
            }
            Some(next) => {
                let held = self.held.get_mut(&next).expect("a parked message is held");
                held.leads = true;
                match held.state {
                    // The next tick lets it go, when its time has come.
                    State::Parked { due } if due > Time::ZERO => self.defer(next, due),
                    _ => {
                        self.make_ready(next);
                    }
                }
            }
        }
    }
}
