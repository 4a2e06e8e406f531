//! One delivery to this process, and how it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::session::Session;
use crate::{Command, History, Message, MessageId};

/// Why a delivery could not be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// Its connection is gone; the message will be redelivered.
    #[error("the delivery's connection is gone; the message will come again")]
    Lost,
    /// The consumer was closed.
    #[error("the consumer is closed; the message will come again")]
    Closed,
}

/// A request to the consumer's task.
#[derive(Debug)]
pub(super) enum Request {
    /// Send `RDY`, if this session is still the current one.
    Ready(Arc<Session>, usize),
    /// Settle a message of this session.
    Settle(Arc<Session>, Command),
    /// Touch messages of this session, in one write.
    Touch(Arc<Session>, Vec<MessageId>),
    /// Stop receiving; answer when no more messages can arrive.
    Stop(tokio::sync::oneshot::Sender<()>),
    /// Write everything, put back the unsettled messages, close.
    Close(tokio::sync::oneshot::Sender<()>),
}

/// Whether `receive` returned a delivery; shared by the delivery and the task that sent it.
#[derive(Debug, Clone, Default)]
pub(super) struct Returned(Arc<AtomicBool>);

impl Returned {
    fn mark(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_marked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A message that this process holds. If it is dropped unsettled, it is put back at once.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    session: Arc<Session>,
    requests: mpsc::UnboundedSender<Request>,
    arrived: Instant,
    returned: Returned,
    settled: bool,
}

impl Delivery {
    pub(super) fn new(
        message: Message,
        session: Arc<Session>,
        requests: mpsc::UnboundedSender<Request>,
        returned: Returned,
    ) -> Self {
        Self { message, session, requests, arrived: Instant::now(), returned, settled: false }
    }

    /// Whether the delivery is worth handling: its connection is up, and it has not waited here so long that
    /// the server is about to deliver it again.
    pub(super) fn is_alive(&self) -> bool {
        self.session.is_alive() && self.arrived.elapsed() < self.session.lease / 2
    }

    /// Marks the delivery as being handled.
    pub(super) fn mark_returned(&mut self) {
        self.returned.mark();
        self.session.returned_one();
    }

    /// The server's id of the message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.message.id
    }

    /// How often the message was delivered, this time included.
    #[must_use]
    pub fn attempts(&self) -> u16 {
        self.message.attempts
    }

    /// What the server reports about its past.
    #[must_use]
    pub fn history(&self) -> History {
        self.message.history
    }

    /// When it was published, in nanoseconds since 1970, on the server's clock.
    #[must_use]
    pub fn timestamp_ns(&self) -> i64 {
        self.message.timestamp_ns
    }

    /// What was published.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.message.body
    }

    /// How long the delivery stays here unless it is touched.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.session.lease
    }

    /// Settles the message as handled.
    pub fn finish(mut self) -> Result<(), SettleError> {
        self.settle(Command::Finish(self.message.id))
    }

    /// Requeues the message after `delay`, which the server clamps to its limit.
    pub fn requeue(mut self, delay: Duration) -> Result<(), SettleError> {
        self.settle(Command::Requeue { id: self.message.id, delay })
    }

    /// Requeues the message at once, uncounted where the server supports that.
    pub fn release(mut self) -> Result<(), SettleError> {
        let command = release(&self.session, self.message.id);
        self.settle(command)
    }

    /// Requeues the message after `delay`, for a reason unrelated to the message: uncounted where the server supports that.
    pub fn postpone(mut self, delay: Duration) -> Result<(), SettleError> {
        let id = self.message.id;
        self.settle(if self.session.postpones {
            Command::Release { id, delay: Some(delay) }
        } else {
            Command::Requeue { id, delay }
        })
    }

    /// What [`touch_all`] needs to renew the lease while the delivery is elsewhere.
    #[must_use]
    pub fn lease_handle(&self) -> Lease {
        Lease { id: self.message.id, session: self.session.clone(), requests: self.requests.clone() }
    }

    fn settle(&mut self, command: Command) -> Result<(), SettleError> {
        self.settled = true;
        if self.returned.is_marked() {
            self.session.settled_one();
        }
        self.send(command)
    }

    fn send(&self, command: Command) -> Result<(), SettleError> {
        alive(&self.session, &self.requests)?;
        let request = Request::Settle(self.session.clone(), command);
        self.requests.send(request).map_err(|_| SettleError::Closed)
    }
}

/// The lease of one delivery.
#[derive(Debug, Clone)]
pub struct Lease {
    id: MessageId,
    session: Arc<Session>,
    requests: mpsc::UnboundedSender<Request>,
}

/// Renews the leases of these deliveries, with one write per connection. Returns one result per lease, in order. A
/// delivery that was settled meanwhile stays settled.
pub fn touch_all<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> Vec<Result<(), SettleError>> {
    let mut requests: Vec<(&Lease, Vec<MessageId>)> = Vec::new();
    let mut results = Vec::new();
    for lease in leases {
        results.push(alive(&lease.session, &lease.requests));
        match requests.iter_mut().find(|(of, _)| Arc::ptr_eq(&of.session, &lease.session)) {
            Some((_, ids)) => ids.push(lease.id),
            None => requests.push((lease, vec![lease.id])),
        }
    }
    for (of, ids) in requests {
        // The results say whether the connection is still there.
        let _ = of.requests.send(Request::Touch(of.session.clone(), ids));
    }
    results
}

/// Whether a delivery can still be settled or touched.
fn alive(session: &Session, requests: &mpsc::UnboundedSender<Request>) -> Result<(), SettleError> {
    match (requests.is_closed(), session.is_alive()) {
        (true, _) => Err(SettleError::Closed),
        (false, false) => Err(SettleError::Lost),
        (false, true) => Ok(()),
    }
}

/// The command that gives a message back, uncounted where the server supports that.
pub(super) fn release(session: &Session, id: MessageId) -> Command {
    if session.uncounted_release {
        Command::Release { id, delay: None }
    } else {
        Command::Requeue { id, delay: Duration::ZERO }
    }
}

/// The command that gives back a message that was not settled: one that `receive` never returned was never
/// started; one that it returned counts as an attempt.
pub(super) fn put_back(session: &Session, id: MessageId, returned: &Returned) -> Command {
    if returned.is_marked() { Command::Requeue { id, delay: Duration::ZERO } } else { release(session, id) }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let _ = self.settle(put_back(&self.session, self.message.id, &self.returned));
    }
}
