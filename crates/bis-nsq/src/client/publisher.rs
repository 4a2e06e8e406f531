//! Publishes over one connection with many in flight; each resolves with its own answer.
//!
//! Answers come in the order of the commands, so a queue of waiting publishes matches them. Publishes that
//! were sent and not answered when the connection breaks fail as [`PublishError::Unanswered`], except after a
//! refusal: the server stops reading at the command that it refuses, so the commands after it were not
//! accepted and are sent again.

mod error;
mod publish;
mod queue;
mod task;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{LostError, Options};
use crate::{Command, IdentifyReply, Name, ProtocolError, Published};
pub use error::PublishError;
use publish::Publish;
use queue::WAITING;
use task::Task;

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

/// The state of the connection.
#[derive(Debug, Clone, Default)]
struct Link {
    up: bool,
    /// What the server said at the last connection.
    server: Option<IdentifyReply>,
}

#[derive(Debug)]
enum Request {
    Publish(Publish),
    Close(oneshot::Sender<()>),
}

/// A publish under way.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Published, PublishError>>);

impl Receipt {
    /// Waits for the server's answer.
    pub async fn answer(self) -> Result<Published, PublishError> {
        self.0.await.unwrap_or(Err(PublishError::Closed))
    }
}

impl Publisher {
    /// Starts connecting in the background. Must be called within a tokio runtime.
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

    /// From now on, every new connection creates the missing ones of these topics and channels before it
    /// publishes: a server that has lost them would give new messages only to the first channel that appears. A
    /// server with Bis's extension loses nothing and is asked only once for each.
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
    pub async fn publish(&self, command: Command) -> Result<Published, PublishError> {
        self.send(command).await?.answer().await
    }

    /// Accepts a publishing command and returns a receipt to await. Commands enter the server in the order of
    /// these calls. Waits while too many are in flight. Dropping the receipt may or may not undo the publish.
    pub async fn send(&self, command: Command) -> Result<Receipt, PublishError> {
        self.send_within(command, self.wait).await
    }

    /// Like [`Publisher::send`], with a limit on the wait for a connection; with zero, it fails at once when
    /// there is none.
    pub async fn send_within(&self, command: Command, wait: Duration) -> Result<Receipt, PublishError> {
        let (answer, receipt) = oneshot::channel();
        let deadline = Instant::now() + wait;
        let request = Request::Publish(Publish { command, answer, deadline });
        self.requests.send(request).await.map_err(|_| PublishError::Closed)?;
        Ok(Receipt(receipt))
    }

    /// Waits for the answers to the publishes in flight, then closes. Later publishes fail as `Closed`.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Why a connection is no longer used.
enum End {
    Lost(LostError),
    Unanswered,
    Refused(ProtocolError),
    Close,
}
