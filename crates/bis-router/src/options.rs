//! What the router can be told: addresses, folder, durability, limits. Plain data with defaults; it starts nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bis_nsq::Limits;

mod auth;
mod backlog;
mod bounds;
mod http;
mod log_level;
mod lookup;
mod reach;
mod tls;

pub(crate) use auth::shown;
pub use auth::{Auth, AuthMethod, AuthMethodError};
pub use backlog::{Backlog, BacklogPolicy, BacklogPolicyError};
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
    /// The journal's folder, made if it is not there. One router at a time may use it.
    pub data_folder: PathBuf,
    /// Whether addresses that other machines can reach are allowed although not every client is known. Off unless set:
    /// then NSQ clients beyond loopback need TLS and either an authorization server or a verified certificate, HTTP needs TLS
    /// and HTTPS a verified certificate.
    pub allow_remote: bool,
    /// When a publish is answered; [`SyncMode::Always`] unless set.
    pub sync: SyncMode,
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
    /// Who judges clients' secrets; nobody unless set.
    pub auth: Auth,
    /// Where the router registers; nowhere unless set.
    pub lookup: Lookup,
    /// How much is logged. Whoever writes the log holds a clone; it stands at [`LogLevel::Info`] unless set.
    pub log: LogSwitch,
    /// What is done when what channels have not handled grows too large; see [`Backlog`].
    pub backlog: Backlog,
    /// Among how many of the latest events one that is published again under its id is recognized: it is answered and not
    /// stored a second time. 100,000 unless set, at most 130 bytes each; 0 turns it off.
    pub dedup_window: usize,
    /// The size at which a journal segment is sealed, in bytes; 64 MiB unless set, at most 1 GiB.
    pub segment_bytes: u64,
    /// How long what every channel has handled is kept; 7 days unless set.
    pub retention: Duration,
    /// How many bytes of what every channel has handled are kept; 10 GB unless set.
    pub retention_bytes: u64,
}

impl Options {
    /// The defaults, with the journal in `data_folder`.
    pub fn new(data_folder: impl Into<PathBuf>) -> Self {
        Self {
            tcp_address: (Ipv4Addr::LOCALHOST, 4150).into(),
            http_address: (Ipv4Addr::LOCALHOST, 4151).into(),
            https_address: None,
            data_folder: data_folder.into(),
            allow_remote: false,
            sync: SyncMode::Always,
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
            backlog: Backlog::default(),
            dedup_window: 100_000,
            segment_bytes: 64 * 1024 * 1024,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            retention_bytes: 10_000_000_000,
        }
    }
}

/// When a publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// After its bytes are on the disk: an answered publish survives a power cut.
    #[default]
    Always,
    /// After its bytes are with the operating system, which is made to write them this often: an answered publish
    /// survives a crash of the router, not one of the machine.
    Interval(Duration),
    /// After its bytes are with the operating system, which writes them when it likes.
    None,
}

/// A sync mode that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sync mode; use `always`, `interval=100ms` or `none`")]
pub struct SyncModeError(String);

impl FromStr for SyncMode {
    type Err = SyncModeError;

    /// Reads `always`, `none` or `interval=` with a number and `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, SyncModeError> {
        let error = || SyncModeError(text.to_owned());
        match text {
            "always" => return Ok(Self::Always),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let interval = text.strip_prefix("interval=").ok_or_else(error)?;
        let (number, unit) = match interval.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (interval.strip_suffix('s').ok_or_else(error)?, 1000),
        };
        let millis: u64 = number.parse().map_err(|_| error())?;
        if millis == 0 {
            return Err(error());
        }
        Ok(Self::Interval(Duration::from_millis(millis.saturating_mul(unit))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_modes_are_read() {
        assert_eq!("always".parse(), Ok(SyncMode::Always));
        assert_eq!("none".parse(), Ok(SyncMode::None));
        assert_eq!("interval=100ms".parse(), Ok(SyncMode::Interval(Duration::from_millis(100))));
        assert_eq!("interval=2s".parse(), Ok(SyncMode::Interval(Duration::from_secs(2))));
        for bad in ["", "interval", "interval=", "interval=0ms", "interval=5", "sometimes"] {
            assert!(bad.parse::<SyncMode>().is_err(), "{bad}");
        }
    }
}
