//! The task behind a consumer: connects, subscribes, passes deliveries on and settlements back, and starts
//! over when the connection breaks. It never settles a message by itself, except to give it back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::consumer::{Order, State};
use super::delivery::{Delivery, Request, Returned, put_back, release};
use super::session::Session;
use super::{ConnectError, Connection, LostError, Options, is_final};
use crate::{CLOSE_WAIT, Command, Frame, Message, MessageId, Name, OK, ProtocolError};

/// Notifies a caller that waits for something to finish.
type Waiter = oneshot::Sender<()>;

pub(super) struct Task {
    pub(super) options: Options,
    pub(super) topic: Name,
    pub(super) channel: Name,
    pub(super) order: Order,
    pub(super) deliver: mpsc::Sender<Delivery>,
    pub(super) announce: watch::Sender<State>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) sender: mpsc::WeakUnboundedSender<Request>,
    /// How many more deliveries the receiver has room for.
    pub(super) asked: Arc<AtomicUsize>,
    /// What this connection holds and has not settled.
    pub(super) in_flight: HashMap<MessageId, Returned>,
    /// Whether to reconnect when the connection breaks.
    pub(super) reconnects: Arc<AtomicBool>,
    /// Whether no more messages are wanted: the task ends with its last delivery.
    pub(super) stopping: bool,
    /// Notifies those who wait for the server to confirm that it sends no more messages.
    pub(super) stop_waiters: Vec<Waiter>,
}

/// Why a connection is no longer used.
enum End {
    Lost(LostError),
    Fatal(String),
    Close(Option<Waiter>),
}

impl Task {
    pub(super) async fn run(mut self) {
        let done = self.keep_connected().await;
        self.requests.close();
        if !matches!(*self.announce.borrow(), State::Refused(_)) {
            self.announce.send_replace(State::Closed);
        }
        for waiter in self.stop_waiters.drain(..).chain(done) {
            let _ = waiter.send(());
        }
    }

    /// Reconnects until closed; returns the sender to notify then.
    async fn keep_connected(&mut self) -> Option<Waiter> {
        let mut backoff = Backoff::default();
        loop {
            if !self.reconnects.load(Ordering::Acquire) {
                return None;
            }
            let opening = open(self.options.clone(), self.topic.clone(), self.channel.clone(), self.order);
            match self.unless_closed(opening).await {
                Err(waiter) => return waiter,
                Ok(Ok(connection)) => {
                    backoff.reset();
                    self.options.outages.connected(&self.options.address);
                    match self.serve(connection).await {
                        End::Close(waiter) => return waiter,
                        End::Lost(error) => self.options.outages.lost(&self.options.address, &error),
                        End::Fatal(error) => self.warn(&error),
                    }
                }
                Ok(Err(ConnectError::Refused(refusal))) if is_final(&refusal) => {
                    self.announce.send_replace(State::Refused(refusal));
                    return None;
                }
                Ok(Err(error)) => {
                    let wait = backoff.next();
                    let Options { address, outages, .. } = &self.options;
                    outages.unreachable(address, &error, backoff.is_worth_a_line());
                    if let Err(waiter) = self.unless_closed(sleep(wait)).await {
                        return waiter;
                    }
                }
            }
        }
    }

    fn warn(&self, error: &str) {
        let Self { options, topic, channel, .. } = self;
        tracing::warn!(address = %options.address, %topic, %channel, error, "the broker ended the subscription; reconnecting");
    }

    /// Awaits `work` without a connection. Settlements belong to a connection that is gone and are dropped;
    /// stopping and closing take effect at once.
    async fn unless_closed<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Option<Waiter>> {
        tokio::pin!(work);
        if self.stopping {
            return Err(None);
        }
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                request = self.requests.recv() => match request {
                    Some(Request::Ready(..) | Request::Settle(..) | Request::Touch(..)) => {}
                    Some(Request::Stop(waiter) | Request::Close(waiter)) => return Err(Some(waiter)),
                    None => return Err(None),
                },
            }
        }
    }

    /// Uses `connection` until it ends.
    async fn serve(&mut self, mut connection: Connection) -> End {
        let server = connection.server();
        let lease = u64::try_from(server.msg_timeout).ok().filter(|millis| *millis > 0);
        let session = Arc::new(Session::new(lease.map_or(self.options.lease, Duration::from_millis), server));
        if let Some(ready) = session.ready_for(self.asked.load(Ordering::Acquire)) {
            queue_ready(&mut connection, ready);
        }
        self.announce.send_replace(State::Subscribed(session.clone()));
        let end = self.exchange(&mut connection, &session).await;
        if matches!(end, End::Close(_)) {
            // If the server does not answer in time, the messages that it sent meanwhile count as attempts.
            let _ = timeout(self.options.connect_timeout, self.hear_out(&mut connection, &session)).await;
            self.settle_what_waits(&mut connection, &session);
        }
        session.end();
        self.announce.send_replace(State::Connecting);
        if matches!(end, End::Close(_)) {
            for (id, returned) in self.in_flight.drain() {
                connection.queue(&put_back(&session, id, &returned));
            }
            connection.finish(self.options.connect_timeout).await;
        }
        self.in_flight.clear();
        end
    }

    async fn exchange(&mut self, connection: &mut Connection, session: &Arc<Session>) -> End {
        loop {
            if self.stopping && self.stop_waiters.is_empty() && self.in_flight.is_empty() {
                return End::Close(None);
            }
            let taking = connection.has_room();
            tokio::select! {
                frame = connection.next() => {
                    let end = match frame {
                        Ok(frame) => self.take(connection, session, frame),
                        Err(error) => Some(End::Lost(error)),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                request = self.requests.recv(), if taking => {
                    let mut next = request;
                    while let Some(request) = next {
                        if let Some(end) = self.act(connection, session, request) {
                            return end;
                        }
                        // One write carries everything that is already waiting.
                        next = if connection.has_room() { self.requests.try_recv().ok() } else { None };
                    }
                }
            }
        }
    }

    /// Waits until the server confirms that it sends no more messages. Those that arrive until then are never
    /// handed out: they go back uncounted.
    async fn hear_out(&mut self, connection: &mut Connection, session: &Session) {
        if !std::mem::replace(&mut self.stopping, true) {
            connection.queue(&Command::Close);
        } else if self.stop_waiters.is_empty() {
            return;
        }
        loop {
            match connection.next().await {
                Ok(Frame::Message(message)) => connection.queue(&release(session, message.id)),
                Ok(Frame::Response(data)) if data == CLOSE_WAIT => return,
                Ok(Frame::Response(_) | Frame::Error(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn settle_what_waits(&mut self, connection: &mut Connection, session: &Arc<Session>) {
        while let Ok(request) = self.requests.try_recv() {
            if let Some(End::Close(Some(waiter))) = self.act(connection, session, request) {
                self.stop_waiters.push(waiter);
            }
        }
    }

    fn act(&mut self, connection: &mut Connection, session: &Arc<Session>, request: Request) -> Option<End> {
        match request {
            Request::Ready(of, ready) if Arc::ptr_eq(&of, session) => queue_ready(connection, ready),
            Request::Settle(of, command) if Arc::ptr_eq(&of, session) => {
                if let Command::Finish(id) | Command::Requeue { id, .. } | Command::Release { id, .. } =
                    &command
                {
                    self.in_flight.remove(id);
                }
                connection.queue(&command);
            }
            Request::Touch(of, ids) if Arc::ptr_eq(&of, session) => {
                for id in ids.into_iter().filter(|id| self.in_flight.contains_key(id)) {
                    connection.queue(&Command::Touch(id));
                }
            }
            Request::Ready(..) | Request::Settle(..) | Request::Touch(..) => {}
            Request::Stop(waiter) => {
                if !std::mem::replace(&mut self.stopping, true) {
                    connection.queue(&Command::Close);
                    self.stop_waiters.push(waiter);
                }
            }
            Request::Close(waiter) => return Some(End::Close(Some(waiter))),
        }
        None
    }

    fn take(&mut self, connection: &mut Connection, session: &Arc<Session>, frame: Frame) -> Option<End> {
        match frame {
            Frame::Message(message) => self.pass_on(connection, session, message),
            Frame::Response(data) if data == CLOSE_WAIT => {
                for waiter in self.stop_waiters.drain(..) {
                    let _ = waiter.send(());
                }
            }
            Frame::Response(data) if data == OK => {}
            Frame::Response(data) => tracing::debug!(?data, "ignored an answer of the broker"),
            Frame::Error(data) => match ProtocolError::parse(&data) {
                // The lease of a settled message had expired: the message is redelivered, as at-least-once delivery implies.
                Some(error) if !error.is_fatal() => tracing::debug!(%error, "a message was settled too late"),
                _ => return Some(End::Fatal(String::from_utf8_lossy(&data).into_owned())),
            },
        }
        None
    }

    fn pass_on(&mut self, connection: &mut Connection, session: &Arc<Session>, message: Message) {
        let id = message.id;
        let Some(sender) = self.sender.upgrade() else {
            connection.queue(&release(session, id));
            return;
        };
        let returned = Returned::default();
        self.in_flight.insert(id, returned.clone());
        // The queue is full or closed: dropping the delivery gives it back.
        let _ = self.deliver.try_send(Delivery::new(message, session.clone(), sender, returned));
    }
}

async fn open(
    options: Options,
    topic: Name,
    channel: Name,
    order: Order,
) -> Result<Connection, ConnectError> {
    let mut connection = Connection::open(&options).await?;
    connection.subscribe(&topic, &channel, order, options.connect_timeout).await?;
    Ok(connection)
}

fn queue_ready(connection: &mut Connection, ready: usize) {
    connection.queue(&Command::Ready(u32::try_from(ready).unwrap_or(u32::MAX)));
}
