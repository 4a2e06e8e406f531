//! Publishes over one connection with many in flight; each resolves on its own answer.
//!
//! Answers come in the order of the commands, so a queue of waiting publishes matches them. What was sent and
//! not answered when the connection breaks fails as [`PublishError::Unanswered`], except after a refusal: the
//! server stops reading at the command that it refuses, so what followed was not taken and is sent again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::{ConnectError, Connection, LostError, Options, is_final};
use crate::{
    Command, ErrorCode, FEATURE_HEADERS, FEATURE_RESERVE, Frame, Headers, IdentifyReply, Name, OK,
    ProtocolError,
};

/// Publishes sent and not answered.
const IN_FLIGHT: usize = 4096;
/// Publishes that wait for a connection, or for room in flight.
const WAITING: usize = 1024;

/// The longest pause between two attempts to connect while a publish waits for one: much shorter than publishes wait, so
/// that none fails when the server is back.
const URGENT_PAUSE: Duration = Duration::from_millis(250);

/// Why a publish failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There was no connection for as long as a publish waits. The server does not have the message.
    #[error("no connection to the NSQ server: {reason}")]
    Unreachable {
        /// What the last attempt to connect failed with.
        reason: String,
    },
    /// The connection broke before the answer; the server may have the message.
    #[error("the connection was lost before the server answered")]
    Unanswered,
    /// The server does not take it.
    #[error("the server refused: `{0}`")]
    Refused(ProtocolError),
    /// The publisher was closed.
    #[error("the publisher is closed")]
    Closed,
}

impl PublishError {
    /// Whether the server does not take it because it stops, which it says with this word. It has not taken it, and may
    /// come back as soon as one that is gone.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Refused(refusal) if is_stop(refusal))
    }
}

/// Whether this is what a server says while it stops.
fn is_stop(refusal: &ProtocolError) -> bool {
    use ErrorCode::{DeferredPublishFailed, MultiPublishFailed, PublishFailed};
    matches!(refusal.code, PublishFailed | MultiPublishFailed | DeferredPublishFailed)
        && refusal.to_string().ends_with(" exiting")
}

/// Publishes to one server. Cloning shares the connection; it ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Publisher {
    requests: mpsc::Sender<Request>,
    link: watch::Receiver<Link>,
    channels: Channels,
    wait: Duration,
}

/// Topics with channels that a server must have before anything is published to it.
type Channels = Arc<Mutex<Vec<(Name, Name)>>>;

/// Where the connection stands.
#[derive(Debug, Clone, Default)]
struct Link {
    up: bool,
    /// What the server said when it was last connected to.
    server: Option<IdentifyReply>,
}

#[derive(Debug)]
enum Request {
    Publish(Publish),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Publish {
    command: Command,
    answer: oneshot::Sender<Result<(), PublishError>>,
    /// Until when it may wait for a connection.
    deadline: Instant,
}

/// A publish under way.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<(), PublishError>>);

impl Receipt {
    /// Waits for the server's answer.
    pub async fn answer(self) -> Result<(), PublishError> {
        self.0.await.unwrap_or(Err(PublishError::Closed))
    }
}

impl Publisher {
    /// Starts to connect in the background. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(options: Options) -> Self {
        Self::start_keeping(options, Vec::new())
    }

    /// Like [`Publisher::start`], for a server that must have these topics and channels; see [`Publisher::keep`].
    #[must_use]
    pub fn start_keeping(options: Options, channels: Vec<(Name, Name)>) -> Self {
        let (requests, received) = mpsc::channel(WAITING);
        let (announce, link) = watch::channel(Link::default());
        let wait = options.publish_wait;
        let channels = Arc::new(Mutex::new(channels));
        tokio::spawn(Task::new(options, received, announce, channels.clone()).run());
        Self { requests, link, channels, wait }
    }

    /// From now on every new connection makes these topics and channels, where they are not there, before it
    /// publishes: a server that has forgotten them would give what it gets to the first channel alone. One that
    /// offers Bis's extension forgets nothing and is asked for each once.
    pub fn keep(&self, channels: Vec<(Name, Name)>) {
        *self.channels.lock().unwrap_or_else(PoisonError::into_inner) = channels;
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.borrow().up
    }

    /// What the server said about itself, once a connection was made.
    #[must_use]
    pub fn server(&self) -> Option<IdentifyReply> {
        self.link.borrow().server.clone()
    }

    /// Waits until a connection was made, this one or an earlier one.
    pub async fn connected(&self) -> Result<(), PublishError> {
        let mut link = self.link.clone();
        link.wait_for(|link| link.server.is_some()).await.map(drop).map_err(|_| PublishError::Closed)
    }

    /// Sends a publishing command (`PUB`, `MPUB`, `DPUB`, or `HPUB`, which goes without its headers to a server
    /// that does not offer them) and waits for its answer.
    pub async fn publish(&self, command: Command) -> Result<(), PublishError> {
        self.send(command).await?.answer().await
    }

    /// Takes a publishing command on and returns what to await. Commands enter the server in the order of
    /// these calls. Waits while too many are under way. Dropping the receipt may or may not undo the publish.
    pub async fn send(&self, command: Command) -> Result<Receipt, PublishError> {
        self.send_within(command, self.wait).await
    }

    /// Like [`Publisher::send`], with the longest wait for a connection; at nought it fails at once when there is
    /// none.
    pub async fn send_within(&self, command: Command, wait: Duration) -> Result<Receipt, PublishError> {
        let (answer, receipt) = oneshot::channel();
        let deadline = Instant::now() + wait;
        let request = Request::Publish(Publish { command, answer, deadline });
        self.requests.send(request).await.map_err(|_| PublishError::Closed)?;
        Ok(Receipt(receipt))
    }

    /// Waits for the answers to what is under way, then closes. Later publishes fail as `Closed`.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Connects to a server that has `channels`, or makes them. `made` were made there before.
async fn open(
    options: &Options,
    channels: &[(Name, Name)],
    made: &[(Name, Name)],
) -> Result<Connection, ConnectError> {
    let connection = Connection::open(options).await?;
    let forgets = connection.server().bis.is_none();
    for (topic, channel) in channels.iter().filter(|channel| forgets || !made.contains(channel)) {
        super::create_channel(options, topic, channel).await?;
    }
    Ok(connection)
}

/// Why the task stopped using a connection.
enum End {
    Lost(LostError),
    Unanswered,
    Refused(ProtocolError),
    Close,
}

struct Task {
    options: Options,
    requests: mpsc::Receiver<Request>,
    announce: watch::Sender<Link>,
    channels: Channels,
    /// What the server had when it was last connected to.
    made: Vec<(Name, Name)>,
    waiting: VecDeque<Publish>,
    in_flight: VecDeque<(Instant, Publish)>,
    backoff: Backoff,
    /// Whether no more publishes are taken on; the task ends when those it has are answered.
    closing: bool,
    close_waiters: Vec<oneshot::Sender<()>>,
}

impl Task {
    fn new(
        options: Options,
        requests: mpsc::Receiver<Request>,
        announce: watch::Sender<Link>,
        channels: Channels,
    ) -> Self {
        Self {
            options,
            requests,
            announce,
            channels,
            made: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            backoff: Backoff::default(),
            closing: false,
            close_waiters: Vec::new(),
        }
    }

    async fn run(mut self) {
        loop {
            let Some(connection) = self.connect().await else { break };
            let end = self.serve(connection).await;
            self.announce.send_modify(|link| link.up = false);
            match end {
                End::Lost(error) => {
                    self.options.outages.lost(&self.options.address, &error);
                    self.fail_in_flight();
                }
                End::Unanswered => {
                    self.options.outages.lost(&self.options.address, &"it did not answer a publish");
                    self.fail_in_flight();
                }
                End::Refused(refusal) => {
                    if is_stop(&refusal) {
                        self.options.outages.lost(&self.options.address, &refusal);
                    }
                    while let Some((_, publish)) = self.in_flight.pop_back() {
                        self.waiting.push_front(publish);
                    }
                }
                End::Close => break,
            }
        }
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Publish(publish) => drop(publish.answer.send(Err(PublishError::Closed))),
                Request::Close(waiter) => self.close_waiters.push(waiter),
            }
        }
        for waiter in self.close_waiters {
            let _ = waiter.send(());
        }
    }

    fn fail_in_flight(&mut self) {
        for (_, publish) in self.in_flight.drain(..) {
            let _ = publish.answer.send(Err(PublishError::Unanswered));
        }
    }

    /// Connects, however long it takes; meanwhile lets publishes whose time is over fail. `None` when closed.
    async fn connect(&mut self) -> Option<Connection> {
        let mut reason = String::from("not connected yet");
        loop {
            let options = self.options.clone();
            let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let made = self.made.clone();
            let opening = open(&options, &channels, &made);
            let failed = match self.while_disconnected(opening, &reason).await? {
                Ok(connection) => {
                    self.made = channels;
                    self.backoff.reset();
                    self.options.outages.connected(&self.options.address);
                    self.announce.send_replace(Link { up: true, server: Some(connection.server().clone()) });
                    return Some(connection);
                }
                Err(error) => error,
            };
            reason = failed.to_string();
            let wait = self.backoff.next();
            let Options { address, outages, .. } = &self.options;
            outages.unreachable(address, &failed, self.backoff.is_worth_a_line());
            if matches!(&failed, ConnectError::Refused(refusal) if is_final(refusal)) {
                self.fail_waiting(&reason);
            }
            self.pause(wait, &reason).await?;
        }
    }

    /// Waits before the next attempt, not as long when somebody waits for it. `None` when closed.
    async fn pause(&mut self, mut wait: Duration, reason: &str) -> Option<()> {
        while !wait.is_zero() {
            let slice = wait.min(URGENT_PAUSE);
            self.while_disconnected(tokio::time::sleep(slice), reason).await?;
            wait = if self.waiting.is_empty() { wait - slice } else { Duration::ZERO };
        }
        Some(())
    }

    /// Awaits `work` and meanwhile takes publishes on and lets them time out. `None` when closed.
    async fn while_disconnected<T>(&mut self, work: impl Future<Output = T>, reason: &str) -> Option<T> {
        tokio::pin!(work);
        loop {
            let now = Instant::now();
            while self.waiting.front().is_some_and(|publish| publish.deadline <= now) {
                let publish = self.waiting.pop_front().expect("there is a front");
                let unreachable = PublishError::Unreachable { reason: reason.to_owned() };
                let _ = publish.answer.send(Err(unreachable));
            }
            if self.closing && self.waiting.is_empty() {
                return None;
            }
            let next_deadline = self.waiting.front().map_or(now + self.options.publish_wait, |p| p.deadline);
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep_until(next_deadline) => {}
                request = self.requests.recv(), if !self.closing && self.waiting.len() < WAITING => {
                    if let Some(publish) = self.take_on(request) {
                        self.waiting.push_back(publish);
                    }
                }
            }
        }
    }

    /// The publish in a request, if it is one; after any other, no more is taken on.
    fn take_on(&mut self, request: Option<Request>) -> Option<Publish> {
        match request {
            Some(Request::Publish(publish)) => return Some(publish),
            Some(Request::Close(waiter)) => self.close_waiters.push(waiter),
            None => {}
        }
        self.closing = true;
        None
    }

    fn fail_waiting(&mut self, reason: &str) {
        for publish in self.waiting.drain(..) {
            let _ = publish.answer.send(Err(PublishError::Unreachable { reason: reason.to_owned() }));
        }
    }

    /// Publishes over `connection` until it ends.
    async fn serve(&mut self, mut connection: Connection) -> End {
        loop {
            while self.in_flight.len() < IN_FLIGHT && connection.has_room() {
                let Some(publish) = self.waiting.pop_front() else { break };
                self.send(&mut connection, publish);
            }
            if self.closing && self.in_flight.is_empty() && self.waiting.is_empty() {
                connection.finish(self.options.connect_timeout).await;
                return End::Close;
            }
            let answer_due = self.in_flight.front().map(|(sent, _)| *sent + self.options.answer_wait);
            let taking = !self.closing && self.in_flight.len() < IN_FLIGHT && connection.has_room();
            tokio::select! {
                frame = connection.next() => match frame {
                    Ok(frame) => if let Some(end) = self.answer(frame) { return end },
                    Err(error) => return End::Lost(error),
                },
                request = self.requests.recv(), if taking => {
                    if let Some(publish) = self.take_on(request) {
                        self.send(&mut connection, publish);
                        self.send_more(&mut connection);
                    }
                }
                () = sleep_until(answer_due.unwrap_or_else(Instant::now)), if answer_due.is_some() => {
                    return End::Unanswered;
                }
            }
        }
    }

    /// Takes on what else waits already, so that one write carries it all.
    fn send_more(&mut self, connection: &mut Connection) {
        while self.in_flight.len() < IN_FLIGHT && connection.has_room() {
            let Ok(request) = self.requests.try_recv() else { return };
            let Some(publish) = self.take_on(Some(request)) else { return };
            self.send(connection, publish);
        }
    }

    fn send(&mut self, connection: &mut Connection, publish: Publish) {
        if !publish.answer.is_closed() {
            // Whoever publishes need not know whom it reaches: the next server may be another kind.
            let offers = |feature| connection.server().offers(feature);
            match &publish.command {
                Command::HeadedPublish { .. } if !offers(FEATURE_HEADERS) => {
                    connection.queue(&publish.command.clone().without_headers());
                }
                Command::HeadedPublish { topic, headers, body }
                    if headers.is_from_handler && !offers(FEATURE_RESERVE) =>
                {
                    let headers = Headers { is_from_handler: false, ..headers.clone() };
                    let (topic, body) = (topic.clone(), body.clone());
                    connection.queue(&Command::HeadedPublish { topic, headers, body });
                }
                command => connection.queue(command),
            }
            self.in_flight.push_back((Instant::now(), publish));
        }
    }

    /// Gives an answer to the publish that it belongs to.
    fn answer(&mut self, frame: Frame) -> Option<End> {
        let result = match frame {
            Frame::Response(data) if data == OK => Ok(()),
            Frame::Error(data) => Err(ProtocolError::parse(&data)),
            other => {
                tracing::debug!(?other, "ignored an answer that no publish waits for");
                return None;
            }
        };
        let Some((_, publish)) = self.in_flight.pop_front() else {
            return result.is_err().then_some(End::Lost(LostError::Closed));
        };
        match result {
            Ok(()) => {
                let _ = publish.answer.send(Ok(()));
                None
            }
            Err(Some(refusal)) => {
                let end = refusal.is_fatal().then(|| End::Refused(refusal.clone()));
                let _ = publish.answer.send(Err(PublishError::Refused(refusal)));
                end
            }
            Err(None) => {
                let _ = publish.answer.send(Err(PublishError::Unanswered));
                Some(End::Lost(LostError::Closed))
            }
        }
    }
}
