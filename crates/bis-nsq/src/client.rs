//! Sockets: talks to an NSQ server (Bis's router or a real nsqd) on tokio.
//!
//! A [`Publisher`] keeps one connection with many publishes in flight; a [`Consumer`] keeps one connection
//! per channel. Both reconnect by themselves, with back-off and jitter. Neither ever reports a command as
//! accepted that the server did not confirm, and neither looks into a body.

mod backoff;
mod connection;
mod consume_task;
mod consumer;
mod delivery;
mod http;
mod inquiry;
mod lookup;
mod outages;
mod process;
mod publisher;
mod session;
mod stream;
mod terms;
mod tls;

use std::time::Duration;

use bis_core::Secret;

pub use connection::{ConnectError, Connection, LostError};
pub use consumer::{ConsumeError, Consumer, ConsumerHandle, Order};
pub use delivery::{Delivery, Lease, SettleError, touch_all};
pub use http::{HttpAddress, HttpError};
pub use inquiry::{peek, replay, retain};
pub use lookup::{DEFAULT_INTERVAL, Found, Lookup, Node, nodes};
pub use outages::Outages;
pub use process::Process;
pub use publisher::{PublishError, Publisher, Receipt};
pub use tls::{Certificate, Tls, TlsError};

use crate::{IdentifyReply, Limits, Name};

/// How to talk to a server. Everything except the address has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server's TCP address, `host:port`.
    pub address: String,
    /// The longest that connecting and negotiating may take; 5 s.
    pub connect_timeout: Duration,
    /// How long a publish waits for a connection when there is none; 5 s.
    pub publish_wait: Duration,
    /// How long a publish that was sent waits for its answer before the connection counts as lost; 30 s.
    pub answer_wait: Duration,
    /// The time between the server's heartbeats, 1 to 60 s, or less where the server allows less; after twice as long without a
    /// byte, the connection counts as lost; 10 s.
    pub heartbeat: Duration,
    /// How long a delivery stays here unless it is touched, 1 s to 15 min, or less where the server allows less; 30 s. On nsqd,
    /// messages that a killed process held are redelivered after this time.
    pub lease: Duration,
    /// The client's name in the server's statistics; `bis-` and the process id.
    pub client_id: String,
    /// Which process the connections belong to: the router gives a process one message at a time of those that may crash it,
    /// and learns that a process is alive after its connection broke. A process of its own unless set.
    pub process: Process,
    /// Switches to TLS after `IDENTIFY`; a server that does not offer TLS is refused. None unless set.
    pub tls: Option<Tls>,
    /// The secret that `AUTH` sends to a server that asks for it. None unless set.
    pub auth_secret: Option<Secret>,
    /// Which servers are currently lost, so that clones of these options log an outage once. Not shared unless set.
    pub outages: Outages,
}

impl Options {
    /// The defaults for the server at `address`.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            connect_timeout: Duration::from_secs(5),
            publish_wait: Duration::from_secs(5),
            answer_wait: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            client_id: format!("bis-{}", std::process::id()),
            process: Process::new(),
            tls: None,
            auth_secret: None,
            outages: Outages::default(),
        }
    }
}

/// Connects for a moment, and says what the server can do.
pub async fn identify(options: &Options) -> Result<IdentifyReply, ConnectError> {
    let connection = Connection::open(options).await?;
    let reply = connection.server().clone();
    connection.finish(options.connect_timeout).await;
    Ok(reply)
}

/// Creates `topic` and `channel` if they do not exist, by subscribing for a moment, and says what the server
/// can do. Works on every NSQ server without its HTTP API.
pub async fn create_channel(
    options: &Options,
    topic: &Name,
    channel: &Name,
) -> Result<IdentifyReply, ConnectError> {
    let mut connection = Connection::open(options).await?;
    connection.subscribe(topic, channel, Order::Any, options.connect_timeout).await?;
    let reply = connection.server().clone();
    connection.finish(options.connect_timeout).await;
    Ok(reply)
}

/// The largest frame that a client takes from a server: a message of 64 MiB, far above any server's default.
const MAX_FRAME_BYTES: usize = 64 * Limits::DEFAULT_MAX_MESSAGE_BYTES;

/// The most output that may wait for the socket, in bytes; above it, no more commands are accepted.
const OUTPUT_BYTES: usize = 256 * 1024;

/// Whether a refusal will be the same next time, so that retrying is pointless. An authorization may succeed later:
/// nsqd also answers `E_AUTH_FAILED` when it cannot reach its authorization server.
fn is_final(refusal: &crate::ProtocolError) -> bool {
    use crate::ErrorCode::{AuthError, AuthFailed, SubscribeFailed};
    refusal.is_fatal() && !matches!(refusal.code, SubscribeFailed | AuthFailed | AuthError)
}
