//! A connection's side of delivery: when to look for messages, and what is to be read from the journal first.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bis_broker::BoxFuture;
use bis_broker::channel::Handout;
use bis_journal::{Fetched, Handed, Round};
use bis_nsq::{History, MessageId, encode_message, encode_message_with_history};
use bytes::BytesMut;
use tokio::time::Instant;

use super::connection::Connection;
use super::gate::Stage;

/// A client that does not read what was sent gets no more messages beyond this many bytes.
pub(super) const MAX_UNSENT: usize = 512 * 1024;
/// How soon a connection looks again for what is due later: its timer does not go on while the machine is suspended.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long nothing is delivered after the journal could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// What a connection knows of its next delivery.
#[derive(Default)]
pub(super) struct Lookout {
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

impl Lookout {
    /// The client is ready for so many.
    pub(super) fn ready(&mut self, count: u32) {
        self.look = true;
        if count > 0 {
            self.is_fresh |= !self.was_ready;
            self.was_ready = true;
        }
    }

    /// When to look again without being told to.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // Who already has a reason to look waits for something else: room, or the end of a pause.
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

    /// Waits for what is being read; forever when nothing is.
    pub(super) async fn fetched(&mut self) -> io::Result<Fetched> {
        match &mut self.fetching {
            Some(fetching) => fetching.await,
            None => std::future::pending().await,
        }
    }
}

impl Connection {
    /// There may be messages; if this client cannot take them now, another one may. Or its channel is
    /// gone: then it must go too.
    pub(super) fn woken(&mut self) {
        self.lookout.look = true;
        if (self.unsent.len() >= MAX_UNSENT || self.stage == Stage::Closing)
            && let Some(subscription) = &self.subscription
        {
            let is_there = self.server.journal.lock().pass_on(subscription);
            self.ending |= !is_there;
        }
    }

    /// Hands out messages, if there is a reason to look for some and room for them.
    pub(super) fn deliver(&mut self) {
        let lookout = &mut self.lookout;
        let may_deliver = lookout.look
            && lookout.started
            && lookout.fetching.is_none()
            && lookout.read_again.is_none()
            && self.stage == Stage::Subscribed
            && !self.ending
            && !self.is_over
            && !self.is_cut
            && self.stopping.is_none()
            && self.unsent.len() < MAX_UNSENT;
        if !may_deliver {
            return;
        }
        let Some(subscription) = &self.subscription else { return };
        let journal = &self.server.journal;
        let now = journal.clock().now();
        let mut state = journal.lock();
        if let Some(fetched) = lookout.fetched.take() {
            state.supply(fetched);
        }
        let wants_history = self.client.wants_history;
        let round =
            state.deliver(subscription, now, |handed| encode(&mut self.unsent, &handed, wants_history));
        let is_dirty = state.is_dirty();
        drop(state);
        if is_dirty {
            journal.kick();
        }
        lookout.look = matches!(round, Round::More);
        lookout.deadline = None;
        match round {
            Round::Gone => self.ending = true,
            // Others have a turn at the lock, and nothing else would bring this connection back.
            Round::More if self.unsent.is_empty() => self.wake.notify_one(),
            Round::More => {}
            Round::Missing(missing) => {
                let journal = Arc::clone(journal);
                lookout.fetching = Some(Box::pin(async move { journal.fetch(missing).await }));
            }
            Round::Done { deadline } => {
                let wait = deadline.map(|deadline| deadline.since(now).min(LOOK_AGAIN));
                lookout.deadline = wait.map(|wait| Instant::now() + wait);
            }
        }
    }
}

/// A message as a frame, with what became of it before for a client that is told.
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
