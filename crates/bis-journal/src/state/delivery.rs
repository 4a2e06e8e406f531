//! Consumers and their messages: subscribe, hand out, settle. Every settlement becomes an operation for the journal.

use std::time::Duration;

use bis_broker::channel::{
    ConsumerId, Facts, FinishIdleError, Handout, Lease, Parting, Peeked, Source, Suspects, Taker, Time,
};

use super::State;
use super::suspicions::Suspicions;
use super::topic::{ChannelState, Consumer, DeliveryOrder, Joining};
use crate::files::fetch::Missing;
use crate::files::log::Log;
use crate::files::record::{self, RECORD_HEADER};
use crate::name::Name;

/// The most bytes of messages that one round of delivery hands to a connection.
const ROUND_BYTES: usize = 256 * 1024;
/// The most messages that one round passes over for a client that takes samples.
const ROUND_PASSED_OVER: usize = 4096;
/// How soon a consumer looks again that may have no suspect now, because its process has one.
const SUSPECT_PAUSE: Duration = Duration::from_millis(50);
/// The most bytes of messages that one peek shows; at least one message.
const PEEK_BYTES: usize = 4 * 1024 * 1024;

/// One consumer's subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub(crate) topic: u32,
    pub(crate) channel: Name,
    pub(crate) channel_id: u32,
    pub(crate) consumer: ConsumerId,
    /// How long a message may stay unanswered.
    pub(crate) timeout: Duration,
}

impl Subscription {
    /// The topic's number.
    #[must_use]
    pub fn topic(&self) -> u32 {
        self.topic
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &Name {
        &self.channel
    }

    /// Who the consumer is: no other has its number while the process lives.
    #[must_use]
    pub fn consumer(&self) -> ConsumerId {
        self.consumer
    }
}

/// A message as a consumer is given it.
#[derive(Debug, Clone, Copy)]
pub struct Handed<'a> {
    /// Which one it is, and what became of it before.
    pub handout: Handout,
    /// When it was published, in nanoseconds since 1970.
    pub published: u64,
    /// What was published.
    pub body: &'a [u8],
}

/// Why a message was not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No consumer holds it (any longer).
    NotInFlight,
    /// Another consumer holds it.
    NotOwned,
}

/// The outcome of a round of delivery.
#[derive(Debug)]
pub enum Round {
    /// The channel or topic was deleted: the connection must close.
    Gone,
    /// Nothing more for now; look again at the deadline at the latest.
    Done {
        /// When a lease ends or a message is due.
        deadline: Option<Time>,
    },
    /// The round's bytes are used up; there may be more.
    More,
    /// The next message is not in memory: read this without the lock, give it to the log, and deliver under the same
    /// lock.
    Missing(Missing),
}

/// The messages of one topic in the log, as one channel sees them: without keys when nobody asked for order.
struct TopicSource<'a> {
    log: &'a mut Log,
    topic: u32,
    order: DeliveryOrder,
}

impl Source for TopicSource<'_> {
    type Error = Missing;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Missing> {
        let record = self.log.record(self.topic, sequence)?;
        let header = record.as_deref().and_then(record::header);
        let by_key = self.order == DeliveryOrder::ByKey;
        Ok(header.map(|header| Facts { due: Time(header.due), key: header.key.filter(|_| by_key) }))
    }
}

/// One round of handing a consumer its messages.
struct Handing<'a> {
    subscription: &'a Subscription,
    now: Time,
    suspects: Suspects,
    source: TopicSource<'a>,
    suspicions: &'a mut Suspicions,
}

/// How a round ended.
struct Given {
    round: Round,
    /// Whether the channel has something to write down.
    is_noted: bool,
    /// Whether the consumer found nothing more and waits.
    waits: bool,
    /// Whether the consumer may have left messages to others.
    leaves: bool,
}

impl Handing<'_> {
    /// Hands out until the consumer has all that it is ready for, or there is no more; `None` when it is gone.
    fn run(mut self, channel: &mut ChannelState, mut hand: impl FnMut(Handed<'_>)) -> Option<Given> {
        let Self { subscription, now, suspects, .. } = self;
        let id = subscription.consumer;
        let ChannelState { machine, operations, consumers, sampled_out, .. } = channel;
        let consumer = consumers.get_mut(&id)?;
        let until = now.plus(subscription.timeout);
        let mut taker = Taker { consumer: id, until, vanishing: consumer.vanishing, suspects };
        let (mut is_noted, mut bytes, mut passed_over) = (false, 0, 0);
        let (round, waits, leaves) = loop {
            if machine.in_flight_with(id) >= consumer.ready as usize {
                break (Round::Done { deadline: machine.next_deadline() }, false, true);
            }
            if bytes > ROUND_BYTES || passed_over > ROUND_PASSED_OVER {
                break (Round::More, false, true);
            }
            let handout = match machine.next(&mut self.source, taker, now) {
                Ok(Some(handout)) => handout,
                Ok(None) if machine.is_looking() => break (Round::More, false, false),
                Ok(None) => break (Round::Done { deadline: machine.next_deadline() }, true, false),
                Err(missing) => break (Round::Missing(missing), false, false),
            };
            if handout.suspect {
                taker.suspects = Suspects::Withheld;
            }
            let is_blamed = machine.is_blamed(handout.sequence, id);
            if is_blamed {
                self.suspicions.goes_out(subscription, handout.sequence, consumer, now);
            }
            if consumer.sampler.as_mut().is_some_and(|sampler| !sampler.takes()) {
                // As on nsqd: what a sampling client is not given, no other client of the channel is given either.
                if machine.finish(handout.sequence, id).is_ok() {
                    operations.finished(handout.sequence);
                    *sampled_out += 1;
                    is_noted = true;
                }
                passed_over += 1;
                continue;
            }
            // The machine has just asked for its facts, so that the record is at hand.
            let record = self.source.log.record(subscription.topic, handout.sequence).ok().flatten();
            let Some((record, header)) =
                record.and_then(|record| record::header(&record).map(|header| (record, header)))
            else {
                continue;
            };
            consumer.delivered += 1;
            bytes += record.len();
            hand(Handed { handout, published: header.published, body: &record[RECORD_HEADER..] });
            if is_blamed {
                break (Round::Done { deadline: Some(now.plus(SUSPECT_PAUSE)) }, false, true);
            }
        };
        Some(Given { round, is_noted, waits, leaves })
    }
}

/// A message as peeking shows it.
pub struct PeekedMessage {
    /// Its place and its state.
    pub peeked: Peeked,
    /// When it was published, in nanoseconds since 1970.
    pub published: u64,
    /// A copy: a part of what was read would keep all of it in memory.
    pub body: Vec<u8>,
}

/// As far as a peek came without reading.
pub(crate) enum Peek {
    /// All that was asked for.
    Done {
        /// Whether there are further messages.
        more: bool,
    },
    /// Read this without the lock, give it to the log, and peek again with the same page.
    Missing(Missing),
}

/// What a peek has found. It is filled in several turns when messages must be read.
pub(crate) struct PeekPage {
    pub(crate) messages: Vec<PeekedMessage>,
    after: Option<u64>,
    limit: usize,
    bytes: usize,
}

impl PeekPage {
    /// For up to `limit` messages after a sequence, and at most [`PEEK_BYTES`] of bodies.
    pub(crate) fn new(after: Option<u64>, limit: usize) -> Self {
        Self { messages: Vec::new(), after, limit, bytes: 0 }
    }
}

impl State {
    /// Adds a consumer to a channel; topic and channel are made if they are not there.
    pub fn subscribe(&mut self, topic: &str, channel: &str, joining: Joining) -> Subscription {
        if let Some(process) = joining.process.id {
            self.acquit(process);
        }
        let topic = self.make_topic(topic);
        self.make_channel(topic, channel);
        let consumer = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let state = self.channel(topic, channel).expect("the channel was just made");
        let (order, timeout) = (joining.order, joining.timeout);
        state.add(consumer, Consumer::new(consumer, joining), order);
        let channel_id = state.id;
        Subscription { topic, channel: Name::new(channel), channel_id, consumer, timeout }
    }

    /// How many consumers a channel has.
    pub fn consumers(&mut self, topic: &str, channel: &str) -> usize {
        let topic = self.number_of(topic);
        topic.and_then(|topic| self.channel(topic, channel)).map_or(0, |channel| channel.consumers.len())
    }

    /// How many messages the consumer holds.
    pub fn in_flight(&mut self, subscription: &Subscription) -> usize {
        let consumer = subscription.consumer;
        self.subscribed(subscription).map_or(0, |channel| channel.machine.in_flight_with(consumer))
    }

    /// The consumer is gone; what it held is ready again at once. Whether it was the last of its channel, which is still there.
    pub fn unsubscribe(&mut self, subscription: &Subscription, parting: Parting) -> bool {
        let Some(channel) = self.subscribed(subscription) else { return false };
        let back = channel.machine.disconnect(subscription.consumer, parting);
        back.iter().for_each(|recalled| channel.operations.recalled(recalled));
        let consumer = channel.consumers.remove(&subscription.consumer);
        // Another consumer, which now looks after what it was woken for, and after the time at which something is due.
        channel.wake(back.len() + 1);
        let is_last = channel.consumers.is_empty();
        if !back.is_empty() {
            self.mark_dirty(subscription.topic, &subscription.channel);
        }
        let process = consumer.and_then(|consumer| consumer.process().id);
        if let Some(process) = process.filter(|_| back.iter().any(|recalled| recalled.suspect)) {
            self.suspicions.left_behind(process);
        }
        is_last
    }

    /// Takes back what has run out of its lease in the consumer's channel; whether there was anything.
    fn take_back_expired(&mut self, subscription: &Subscription, now: Time) -> bool {
        let Some(channel) = self.subscribed(subscription) else { return false };
        let expired = channel.machine.tick(now);
        expired.iter().for_each(|expired| channel.operations.recalled(expired));
        !expired.is_empty()
    }

    /// Hands the consumer messages, as many as it is ready for.
    pub fn deliver(&mut self, subscription: &Subscription, now: Time, hand: impl FnMut(Handed<'_>)) -> Round {
        let has_expired = self.take_back_expired(subscription, now);
        if self.is_left_alone(subscription, now) {
            return self.look_elsewhere(subscription, has_expired, now);
        }
        let suspects = self.suspects_for(subscription);
        let State { topics, log, suspicions, .. } = self;
        let topic = topics.get_mut(&subscription.topic);
        let channel = topic.and_then(|topic| topic.channels.get_mut(subscription.channel.as_str()));
        let Some(channel) = channel.filter(|channel| channel.id == subscription.channel_id) else {
            return Round::Gone;
        };
        let source = TopicSource { log, topic: subscription.topic, order: channel.order };
        let handing = Handing { subscription, now, suspects, source, suspicions };
        let Some(given) = handing.run(channel, hand) else { return Round::Gone };
        let round = match given.round {
            Round::Done { deadline } if channel.machine.has_suspects() => {
                let again = now.plus(SUSPECT_PAUSE);
                Round::Done { deadline: Some(deadline.map_or(again, |deadline| deadline.min(again))) }
            }
            round => round,
        };
        if given.waits {
            channel.wait(subscription.consumer);
        }
        if given.leaves && channel.machine.has_more() {
            channel.wake(1);
        }
        if has_expired || given.is_noted {
            self.mark_dirty(subscription.topic, &subscription.channel);
        }
        round
    }

    /// The consumer's process is given nothing now; another one may take what is there.
    fn look_elsewhere(&mut self, subscription: &Subscription, has_expired: bool, now: Time) -> Round {
        let Some(channel) = self.subscribed(subscription) else { return Round::Gone };
        if channel.machine.has_more() {
            channel.wake(1);
        }
        if has_expired {
            self.mark_dirty(subscription.topic, &subscription.channel);
        }
        Round::Done { deadline: Some(now.plus(SUSPECT_PAUSE)) }
    }

    /// The consumer takes messages while fewer than this are in flight.
    pub fn set_ready(&mut self, subscription: &Subscription, ready: u32) {
        let consumer = self
            .subscribed(subscription)
            .and_then(|channel| channel.consumers.get_mut(&subscription.consumer));
        if let Some(consumer) = consumer {
            consumer.ready = ready;
        }
    }

    /// The consumer gets no more, and settles what it has.
    pub fn close(&mut self, subscription: &Subscription) {
        let Some(channel) = self.subscribed(subscription) else { return };
        if let Some(consumer) = channel.consumers.get_mut(&subscription.consumer) {
            consumer.ready = 0;
            consumer.is_closing = true;
        }
        // What it was woken for is left to another.
        channel.wake(1);
    }

    /// The consumer cannot take messages for now, or for good: what it was woken for is another's. False
    /// when its channel is gone.
    pub fn pass_on(&mut self, subscription: &Subscription) -> bool {
        let Some(channel) = self.subscribed(subscription) else { return false };
        channel.wake(1);
        true
    }

    /// The consumer has handled a message: it does not come again.
    ///
    /// # Errors
    /// When the consumer does not hold it.
    pub fn finish(&mut self, subscription: &Subscription, sequence: u64) -> Result<(), Refusal> {
        let id = subscription.consumer;
        let channel = self.subscribed(subscription).ok_or(Refusal::NotInFlight)?;
        held_by(channel, sequence, id)?;
        channel.machine.finish(sequence, id).map_err(|_| Refusal::NotInFlight)?;
        channel.operations.finished(sequence);
        if let Some(consumer) = channel.consumers.get_mut(&id) {
            consumer.finished += 1;
        }
        self.mark_dirty(subscription.topic, &subscription.channel);
        Ok(())
    }

    /// The consumer gives a message back after an attempt: it comes again after the delay.
    ///
    /// # Errors
    /// When the consumer does not hold it.
    pub fn requeue(
        &mut self,
        subscription: &Subscription,
        sequence: u64,
        delay: Duration,
        now: Time,
    ) -> Result<(), Refusal> {
        let id = subscription.consumer;
        let channel = self.subscribed(subscription).ok_or(Refusal::NotInFlight)?;
        held_by(channel, sequence, id)?;
        let retried = channel.machine.retry(sequence, id, now.plus(delay), now);
        retried.map_err(|_| Refusal::NotInFlight)?;
        channel.note(sequence);
        if let Some(consumer) = channel.consumers.get_mut(&id) {
            consumer.requeued += 1;
        }
        // This consumer may be about to go: another one must know when the message is due.
        channel.wake(1);
        self.mark_dirty(subscription.topic, &subscription.channel);
        Ok(())
    }

    /// The consumer gives a message back and the delivery does not count: back at once because it was never started, or after
    /// a delay because it was in vain.
    ///
    /// # Errors
    /// When the consumer does not hold it.
    pub fn release(
        &mut self,
        subscription: &Subscription,
        sequence: u64,
        delay: Option<Duration>,
        now: Time,
    ) -> Result<(), Refusal> {
        let id = subscription.consumer;
        let channel = self.subscribed(subscription).ok_or(Refusal::NotInFlight)?;
        held_by(channel, sequence, id)?;
        let released = match delay {
            None => channel.machine.release(sequence, id),
            Some(delay) => channel.machine.postpone(sequence, id, now.plus(delay), now),
        };
        released.map_err(|_| Refusal::NotInFlight)?;
        channel.note(sequence);
        channel.wake(1);
        self.mark_dirty(subscription.topic, &subscription.channel);
        Ok(())
    }

    /// The timeout of a message starts anew, up to the longest from the delivery on.
    ///
    /// # Errors
    /// When the consumer does not hold it.
    pub fn touch(
        &mut self,
        subscription: &Subscription,
        sequence: u64,
        now: Time,
        longest: Duration,
    ) -> Result<(), Refusal> {
        let channel = self.subscribed(subscription).ok_or(Refusal::NotInFlight)?;
        let lease = held_by(channel, sequence, subscription.consumer)?;
        let until = now.plus(subscription.timeout).min(lease.delivered.plus(longest));
        let touched = channel.machine.touch(sequence, subscription.consumer, until);
        touched.map_err(|_| Refusal::NotInFlight)
    }

    /// Adds unfinished messages with their bodies to the page, as far as they are in memory. `None` when there is no such
    /// channel.
    pub(crate) fn peek(&mut self, topic: u32, channel: &str, page: &mut PeekPage, now: Time) -> Option<Peek> {
        let State { topics, log, .. } = self;
        let channel = topics.get_mut(&topic)?.channels.get_mut(channel)?;
        channel.machine.tick(now).iter().for_each(|expired| channel.operations.recalled(expired));
        let mut source = TopicSource { log, topic, order: channel.order };
        loop {
            let found = match channel.machine.peek(&mut source, page.after, 1, now) {
                Ok(found) => found.into_iter().next(),
                Err(missing) => return Some(Peek::Missing(missing)),
            };
            let Some(peeked) = found else { return Some(Peek::Done { more: false }) };
            if page.messages.len() >= page.limit {
                return Some(Peek::Done { more: true });
            }
            let record = match source.log.record(topic, peeked.sequence) {
                Ok(record) => record,
                Err(missing) => return Some(Peek::Missing(missing)),
            };
            if let Some((record, header)) =
                record.and_then(|record| record::header(&record).map(|header| (record, header)))
            {
                let body = record[RECORD_HEADER..].to_vec();
                if page.bytes + body.len() > PEEK_BYTES && !page.messages.is_empty() {
                    return Some(Peek::Done { more: true });
                }
                page.bytes += body.len();
                page.messages.push(PeekedMessage { peeked, published: header.published, body });
            }
            page.after = Some(peeked.sequence);
        }
    }

    /// Finishes a message that no consumer has.
    ///
    /// # Errors
    /// When the channel has not got it, or a consumer has.
    pub fn finish_idle(&mut self, topic: u32, channel: &str, sequence: u64) -> Result<(), FinishIdleError> {
        let state = self.channel(topic, channel).ok_or(FinishIdleError::NotFound(sequence))?;
        state.machine.finish_idle(sequence)?;
        state.operations.finished(sequence);
        // It may have led its key.
        state.wake(1);
        self.mark_dirty(topic, &Name::new(channel));
        Ok(())
    }

    /// Drops all messages of a channel. False when it is not there.
    pub fn empty_channel(&mut self, topic: u32, channel: &str) -> bool {
        let Some(state) = self.channel(topic, channel) else { return false };
        state.dropped += state.machine.empty();
        state.operations.forgot(state.machine.floor());
        self.mark_dirty(topic, &Name::new(channel));
        true
    }

    /// Pauses a channel or lets it go on. False when it is not there.
    pub fn pause_channel(&mut self, topic: u32, channel: &str, paused: bool) -> bool {
        let Some(state) = self.channel(topic, channel) else { return false };
        if paused {
            state.machine.pause();
        } else {
            state.machine.unpause();
        }
        state.operations.paused(paused);
        state.wake_all();
        self.mark_dirty(topic, &Name::new(channel));
        true
    }

    pub(crate) fn channel(&mut self, topic: u32, channel: &str) -> Option<&mut ChannelState> {
        self.topics.get_mut(&topic)?.channels.get_mut(channel)
    }

    fn subscribed(&mut self, subscription: &Subscription) -> Option<&mut ChannelState> {
        let channel = self.channel(subscription.topic, subscription.channel.as_str())?;
        (channel.id == subscription.channel_id).then_some(channel)
    }
}

/// The lease of a message that the consumer holds.
fn held_by(channel: &ChannelState, sequence: u64, consumer: ConsumerId) -> Result<Lease, Refusal> {
    let lease = channel.machine.lease(sequence).ok_or(Refusal::NotInFlight)?;
    if lease.consumer == consumer { Ok(lease) } else { Err(Refusal::NotOwned) }
}
