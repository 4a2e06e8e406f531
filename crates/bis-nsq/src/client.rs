//! Sockets: talks to an NSQ server (Bis's router or a real nsqd) on tokio.
//!
//! A [`Publisher`] keeps one connection with many publishes in flight; a [`Consumer`] keeps one connection a
//! channel. Both reconnect by themselves, with back-off and jitter. Neither ever reports as taken what the
//! server did not answer for, and neither looks into a body.

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

/// How to talk to a server. All has defaults but the address.
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
    /// The time between the server's heartbeats, 1 to 60 s, or less where the server allows less; after twice as long without a byte the
    /// connection counts as lost; 10 s.
    pub heartbeat: Duration,
    /// The time that a delivery stays here unless it is touched, 1 s to 15 min, or less where the server allows less; 30 s. What a killed process
    /// held comes again on nsqd after this time.
    pub lease: Duration,
    /// What the client calls itself in the server's statistics; `bis-` and the number of its process.
    pub client_id: String,
    /// Which process the connections are of: the router gives a process one message at a time that may end it, and learns when
    /// one lives whose connection broke. One of its own unless set.
    pub process: Process,
    /// Talks TLS after `IDENTIFY`, or not at all: a server that offers none is not talked to. None unless set.
    pub tls: Option<Tls>,
    /// What `AUTH` says to a server that asks for it. None unless set.
    pub auth_secret: Option<Secret>,
    /// Which servers are lost now, so that clones of these options tell of an outage once. Its own unless set.
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

/// Makes `topic` and `channel` if they are not there, by subscribing for a moment, and says what the server
/// can do. Works on every NSQ server with no use of its HTTP API.
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

/// Output that waits for the socket; above it no more commands are taken on.
const OUTPUT_BYTES: usize = 256 * 1024;

/// Whether a refusal will be the same next time, so that trying again is of no use. An authorization may come back:
/// nsqd says `E_AUTH_FAILED` also when it cannot reach the server that knows.
fn is_final(refusal: &crate::ProtocolError) -> bool {
    use crate::ErrorCode::{AuthError, AuthFailed, SubscribeFailed};
    refusal.is_fatal() && !matches!(refusal.code, SubscribeFailed | AuthFailed | AuthError)
}
