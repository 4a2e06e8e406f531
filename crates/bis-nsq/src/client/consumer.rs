//! Consumes one channel over one connection, which is re-established whenever it breaks.
//!
//! The server is asked (`RDY`) for as many messages as are being handled plus as many as [`Consumer::receive`]
//! has room for, so no message waits here that a free handler elsewhere could take.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::Options;
use super::consume_task::Task;
use super::delivery::{Delivery, Request};
use super::session::Session;
use crate::{Limits, Name, ProtocolError};

/// How long stopping waits for the server to confirm that it sends no more messages.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// The most deliveries that one connection holds, whatever the server would allow.
pub(super) const MAX_HELD: usize = Limits::DEFAULT_MAX_RDY_COUNT as usize;

/// Why a consumer gets no more messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The server refuses the consumer permanently.
    #[error("the server refused: `{0}`")]
    Refused(ProtocolError),
    /// It was stopped or closed.
    #[error("the consumer is closed")]
    Closed,
}

/// The state of a consumer.
#[derive(Debug, Clone)]
pub(super) enum State {
    Connecting,
    Subscribed(Arc<Session>),
    Refused(ProtocolError),
    Closed,
}

/// The order in which a subscriber wants its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// In any order.
    #[default]
    Any,
    /// Messages with the same key one at a time, in the order in which they were published. Subscribing fails
    /// on a server that does not offer [`FEATURE_ORDERED`](crate::FEATURE_ORDERED).
    ByKey,
}

/// One subscriber to one channel. Dropping it puts back what it holds, handled or not, and disconnects.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    state: watch::Receiver<State>,
    asked: Arc<AtomicUsize>,
    reconnects: Arc<AtomicBool>,
    handle: ConsumerHandle,
}

/// Closes a consumer from elsewhere.
#[derive(Debug, Clone)]
pub struct ConsumerHandle {
    // Bounded by the messages in flight (at most the server's `RDY` limit), since each is settled once.
    requests: mpsc::UnboundedSender<Request>,
}

impl ConsumerHandle {
    /// Writes pending settlements, puts back the unsettled messages, and disconnects. Messages that were never received go
    /// back uncounted where the server supports that.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }

    /// Whether the consumer has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }
}

impl Consumer {
    /// Starts connecting in the background. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(options: Options, topic: Name, channel: Name) -> Self {
        Self::start_in_order(options, topic, channel, Order::Any)
    }

    /// Like [`Consumer::start`], with the given order.
    #[must_use]
    pub fn start_in_order(options: Options, topic: Name, channel: Name, order: Order) -> Self {
        let (deliver, deliveries) = mpsc::channel(MAX_HELD);
        let (announce, state) = watch::channel(State::Connecting);
        let (requests, received) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let reconnects = Arc::new(AtomicBool::new(true));
        let task = Task {
            options,
            topic,
            channel,
            order,
            deliver,
            announce,
            requests: received,
            sender: requests.downgrade(),
            asked: asked.clone(),
            in_flight: HashMap::new(),
            reconnects: reconnects.clone(),
            stopping: false,
            stop_waiters: Vec::new(),
        };
        tokio::spawn(task.run());
        Self { deliveries, state, asked, reconnects, handle: ConsumerHandle { requests } }
    }

    /// A handle that closes this consumer from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    /// Sets whether to reconnect when the connection breaks; on by default. While it is off, a broken connection ends
    /// the consumer.
    pub fn set_reconnects(&self, reconnects: bool) {
        self.reconnects.store(reconnects, Ordering::Release);
    }

    /// Whether the consumer has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.state.borrow(), State::Closed)
    }

    /// Waits until the server has confirmed the subscription.
    pub async fn subscribed(&mut self) -> Result<(), ConsumeError> {
        let settled = self.state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Refused(refusal)) => Err(ConsumeError::Refused(refusal.clone())),
            Ok(State::Closed) | Err(_) => Err(ConsumeError::Closed),
            Ok(State::Connecting | State::Subscribed(_)) => Ok(()),
        }
    }

    /// Whether the server has confirmed the subscription and the connection is still up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), State::Subscribed(_))
    }

    /// How many deliveries have arrived and wait for [`Consumer::receive`].
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.deliveries.len()
    }

    /// How many deliveries were received over this connection and are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        match &*self.state.borrow() {
            State::Subscribed(session) => session.unsettled(),
            State::Connecting | State::Refused(_) | State::Closed => 0,
        }
    }

    /// How many deliveries one connection can hold at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &*self.state.borrow() {
            State::Subscribed(session) => session.max_ready,
            State::Connecting | State::Refused(_) | State::Closed => MAX_HELD,
        }
    }

    /// Waits for at least one delivery and returns at most `max`, or nothing when `max` is zero. Cancel safe.
    pub async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>, ConsumeError> {
        let mut received = Vec::new();
        while received.is_empty() && max > 0 {
            received = self.receive_or_change(max).await?;
        }
        Ok(received)
    }

    /// Like [`Consumer::receive`], but returns nothing as soon as the connection is made or breaks, or when the
    /// arrived deliveries were lost. When `max` is zero, it asks the server for no more messages and only waits for
    /// such a change. Cancel safe.
    pub async fn receive_or_change(&mut self, max: usize) -> Result<Vec<Delivery>, ConsumeError> {
        self.asked.store(max, Ordering::Release);
        self.ask(max)?;
        let mut received = Vec::new();
        tokio::select! {
            changed = self.state.changed() => changed.map_err(|_| ConsumeError::Closed)?,
            count = self.deliveries.recv_many(&mut received, max), if max > 0 => {
                if count == 0 {
                    return Err(ConsumeError::Closed);
                }
                received.retain(Delivery::is_alive);
            }
        }
        received.iter_mut().for_each(Delivery::mark_returned);
        self.asked.store(max - received.len(), Ordering::Release);
        Ok(received)
    }

    /// Tells the server how many messages to send, if there is a connection. A new connection asks by itself.
    fn ask(&mut self, max: usize) -> Result<(), ConsumeError> {
        // Not marked as seen: a change since the caller looked must still wake it.
        match &*self.state.borrow() {
            State::Subscribed(session) => {
                if let Some(ready) = session.ready_for(max) {
                    let _ = self.handle.requests.send(Request::Ready(session.clone(), ready));
                }
                Ok(())
            }
            State::Connecting => Ok(()),
            State::Refused(refusal) => Err(ConsumeError::Refused(refusal.clone())),
            State::Closed => Err(ConsumeError::Closed),
        }
    }

    /// Asks for no more messages, and puts back those that arrived and were not received. Received ones can
    /// still be settled.
    pub async fn stop(&mut self) {
        self.asked.store(0, Ordering::Release);
        let (done, stopped) = oneshot::channel();
        if self.handle.requests.send(Request::Stop(done)).is_ok() {
            let _ = timeout(STOP_WAIT, stopped).await;
        }
        self.release_unreceived();
    }

    /// Dropping a delivery that was not received releases it.
    fn release_unreceived(&mut self) {
        self.deliveries.close();
        while self.deliveries.try_recv().is_ok() {}
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Ask for no more first; otherwise a message that is put back comes to this connection again, and is
        // counted when the connection ends.
        let (done, _) = oneshot::channel();
        let _ = self.handle.requests.send(Request::Stop(done));
        self.release_unreceived();
        let (done, _) = oneshot::channel();
        let _ = self.handle.requests.send(Request::Close(done));
    }
}
