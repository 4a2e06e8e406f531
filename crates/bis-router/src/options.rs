//! What the router can be told: addresses, folder, durability, limits. Plain data with defaults; it starts nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bis_nsq::Limits;

mod auth;
mod bounds;
mod http;
mod log_level;
mod lookup;
mod reach;
mod tls;

pub(crate) use auth::shown;
pub use auth::{Auth, AuthMethod, AuthMethodError};
pub use bounds::{BoundError, MAX_BODY_BYTES};
pub use http::HttpTimeouts;
pub use log_level::{LogLevel, LogLevelError, LogSwitch};
pub use lookup::Lookup;
pub use reach::RemoteError;
pub use tls::{ClientCertificates, Compression, Tls, TlsRequired, TlsVersion, TlsWordError};

/// How to run a router. [`Options::new`] gives the defaults; change the fields that matter.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where NSQ clients connect; 127.0.0.1:4150 unless set. Port 0 takes a free one.
    pub tcp_address: SocketAddr,
    /// Where the HTTP API answers; 127.0.0.1:4151 unless set. Port 0 takes a free one.
    pub http_address: SocketAddr,
    /// Where the HTTP API answers over TLS; nowhere unless set. Needs a certificate. Port 0 takes a free one.
    pub https_address: Option<SocketAddr>,
    /// The journal: its folder, durability, retention and bounds.
    pub journal: bis_journal::Options,
    /// Whether addresses that other machines can reach are allowed although not every client is known. Off unless set:
    /// then NSQ clients beyond loopback need TLS and either an authorization server or a verified certificate, HTTP needs TLS
    /// and HTTPS a verified certificate.
    pub allow_remote: bool,
    /// The largest message, in bytes; 1 MiB unless set, at most [`MAX_BODY_BYTES`].
    pub max_message_bytes: usize,
    /// The largest body of a command or request, in bytes; 5 MiB unless set, at most [`MAX_BODY_BYTES`].
    pub max_body_bytes: usize,
    /// The largest `RDY` count; 2500 unless set.
    pub max_ready_count: u32,
    /// After which time an unanswered message is delivered again, unless the client says otherwise; 60 s unless set.
    pub message_timeout: Duration,
    /// The longest a client may hold one delivery by `TOUCH`; 15 min unless set.
    pub max_message_timeout: Duration,
    /// The longest delay of `REQ` and `DPUB`; 1 h in nsqd, 30 days here unless set, because delays are durable.
    pub max_requeue_delay: Duration,
    /// The longest time between heartbeats that a client may ask for; 60 s unless set.
    pub max_heartbeat_interval: Duration,
    /// The largest output buffer that a client may ask for, in bytes; 64 KiB unless set.
    pub max_output_buffer_bytes: usize,
    /// The shortest wait in the output buffer that a client may ask for; 25 ms unless set.
    pub min_output_buffer_timeout: Duration,
    /// The longest wait in the output buffer that a client may ask for; 30 s unless set.
    pub max_output_buffer_timeout: Duration,
    /// The wait in the output buffer of clients that ask for none; 250 ms unless set. It is a bound: this router sends what
    /// it has at once.
    pub output_buffer_timeout: Duration,
    /// Within which time a client must be known where TLS or authorization is required; 30 s unless set. Before that it may send
    /// a few KiB.
    pub stranger_timeout: Duration,
    /// How many consumers a channel takes; as many as come unless set.
    pub max_channel_consumers: Option<usize>,
    /// How long HTTP clients may take.
    pub http: HttpTimeouts,
    /// TLS; off unless a certificate is given.
    pub tls: Tls,
    /// Which compressions clients may ask for; all unless set.
    pub compression: Compression,
    /// Who verifies clients' secrets; nobody unless set.
    pub auth: Auth,
    /// Where the router registers; nowhere unless set.
    pub lookup: Lookup,
    /// How much is logged. The writer of the log holds a clone; it is [`LogLevel::Info`] unless set.
    pub log: LogSwitch,
}

impl Options {
    /// The defaults, with the journal in `data_folder`.
    pub fn new(data_folder: impl Into<PathBuf>) -> Self {
        Self {
            tcp_address: (Ipv4Addr::LOCALHOST, 4150).into(),
            http_address: (Ipv4Addr::LOCALHOST, 4151).into(),
            https_address: None,
            journal: bis_journal::Options::new(data_folder),
            allow_remote: false,
            max_message_bytes: Limits::DEFAULT_MAX_MESSAGE_BYTES,
            max_body_bytes: Limits::DEFAULT_MAX_BODY_BYTES,
            max_ready_count: Limits::DEFAULT_MAX_RDY_COUNT,
            message_timeout: Limits::DEFAULT_MESSAGE_TIMEOUT,
            max_message_timeout: Limits::MAX_MESSAGE_TIMEOUT,
            max_requeue_delay: Duration::from_secs(30 * 24 * 60 * 60),
            max_heartbeat_interval: Limits::MAX_HEARTBEAT,
            max_output_buffer_bytes: Limits::MAX_OUTPUT_BUFFER_BYTES,
            min_output_buffer_timeout: Limits::MIN_OUTPUT_BUFFER_TIMEOUT,
            max_output_buffer_timeout: Limits::MAX_OUTPUT_BUFFER_TIMEOUT,
            output_buffer_timeout: Limits::DEFAULT_OUTPUT_BUFFER_TIMEOUT,
            stranger_timeout: Duration::from_secs(30),
            max_channel_consumers: None,
            http: HttpTimeouts::default(),
            tls: Tls::default(),
            compression: Compression::default(),
            auth: Auth::default(),
            lookup: Lookup::default(),
            log: LogSwitch::default(),
        }
    }
}
