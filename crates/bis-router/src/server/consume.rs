//! A client's subscription and its deliveries: when to look for messages, and what is to be read from the journal first.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bis_broker::BoxFuture;
use bis_broker::channel::Handout;
use bis_journal::{Fetched, Handed, Journal, Round, Subscription};
use bis_nsq::{History, MessageId, encode_message, encode_message_with_history};
use bytes::BytesMut;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How soon a connection looks again for what is due later: its timer does not go on while the machine is suspended.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long nothing is delivered after the journal could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// A client as a consumer.
#[derive(Default)]
pub(super) struct Subscriber {
    pub(super) subscription: Option<Subscription>,
    /// Makes the connection look for messages, or notice that the channel is gone.
    pub(super) wake: Arc<Notify>,
    /// There may be messages to hand out.
    pub(super) look: bool,
    /// The subscription's `OK` is sent.
    pub(super) started: bool,
    /// The client has just been ready for the first time: it may be gone already.
    pub(super) is_fresh: bool,
    /// The client has been ready.
    was_ready: bool,
    /// When a lease ends or a message is due.
    deadline: Option<Instant>,
    /// What is being read because the log lacked it.
    pub(super) fetching: Option<BoxFuture<'static, io::Result<Fetched>>>,
    /// What was read, for the next round.
    fetched: Option<Fetched>,
    /// Reading failed: nothing is delivered before.
    read_again: Option<Instant>,
}

impl Subscriber {
    /// The client is ready for this many.
    pub(super) fn ready(&mut self, count: u32) {
        self.look = true;
        if count > 0 {
            self.is_fresh |= !self.was_ready;
            self.was_ready = true;
        }
    }

    /// When to look again without being told to.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // A client that already has a reason to look waits for something else: room, or the end of a pause.
        if self.look { self.read_again } else { self.deadline }
    }

    /// Whether a deadline has come, which is over then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.read_again.is_some_and(|again| again <= now) {
            self.read_again = None;
        }
        self.deadline.take_if(|deadline| *deadline <= now).is_some()
    }

    /// Delivery goes on with what was read, or after a pause when it could not be.
    pub(super) fn take_fetched(&mut self, read: io::Result<Fetched>) {
        self.fetching = None;
        self.look = true;
        match read {
            Ok(fetched) => self.fetched = Some(fetched),
            Err(_) => self.read_again = Some(Instant::now() + READ_PAUSE),
        }
    }

    /// The subscription's `OK` is sent.
    pub(super) fn start(&mut self) {
        self.started = true;
        self.look = true;
    }

    /// What the consumer was woken for is left to another. Returns whether the channel still exists.
    pub(super) fn pass_on(&self, journal: &Journal) -> bool {
        self.subscription.as_ref().is_none_or(|subscription| journal.lock().pass_on(subscription))
    }

    /// Whether the client holds messages.
    pub(super) fn holds_messages(&self, journal: &Journal) -> bool {
        self.subscription.as_ref().is_some_and(|subscription| journal.lock().in_flight(subscription) > 0)
    }

    /// Whether there is a reason to look for messages, and nothing to wait for first.
    pub(super) fn may_look(&self) -> bool {
        self.look && self.started && self.fetching.is_none() && self.read_again.is_none()
    }

    /// Hands out messages as frames, with their past for a client that is told. False when the channel is gone.
    pub(super) fn deliver(
        &mut self,
        journal: &Arc<Journal>,
        unsent: &mut BytesMut,
        wants_history: bool,
    ) -> bool {
        let Some(subscription) = &self.subscription else { return true };
        let now = journal.clock().now();
        let mut state = journal.lock();
        if let Some(fetched) = self.fetched.take() {
            state.supply(fetched);
        }
        let round = state.deliver(subscription, now, |handed| encode(unsent, &handed, wants_history));
        let is_flush_due = state.take_flush();
        drop(state);
        if is_flush_due {
            journal.kick();
        }
        self.look = matches!(round, Round::More);
        self.deadline = None;
        match round {
            Round::Gone => return false,
            // Others have a turn at the lock, and nothing else would bring this connection back.
            Round::More if unsent.is_empty() => self.wake.notify_one(),
            Round::More => {}
            Round::Missing(missing) => {
                let journal = Arc::clone(journal);
                self.fetching = Some(Box::pin(async move { journal.fetch(missing).await }));
            }
            Round::Done { deadline } => {
                let wait = deadline.map(|deadline| deadline.since(now).min(LOOK_AGAIN));
                self.deadline = wait.map(|wait| Instant::now() + wait);
            }
        }
        true
    }
}

/// A message as a frame, with its past for a client that is told.
fn encode(unsent: &mut BytesMut, handed: &Handed<'_>, wants_history: bool) {
    let Handed { handout, published, body } = handed;
    let published = i64::try_from(*published).unwrap_or(i64::MAX);
    let attempts = u16::try_from(handout.attempt).unwrap_or(u16::MAX);
    let id = MessageId::from_number(handout.sequence);
    let history = if wants_history { history(handout) } else { History::default() };
    // Most have no past.
    match history == History::default() {
        true => encode_message(unsent, published, attempts, id, body),
        false => encode_message_with_history(unsent, history, published, attempts, id, body),
    }
}

fn history(handout: &Handout) -> History {
    let crashes = u16::try_from(handout.crashes).unwrap_or(u16::MAX);
    History { generation: handout.generation, crashes, is_suspect: handout.suspect }
}
