//! What a server accepts, with nsqd's defaults.

use std::time::Duration;

/// The bounds that [`decode_command`](crate::decode_command) checks, each with nsqd's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of one message, in bytes.
    pub max_message_bytes: usize,
    /// The largest body of a command (`MPUB`, `IDENTIFY`, `AUTH`), in bytes.
    pub max_body_bytes: usize,
    /// The largest count of `RDY`.
    pub max_rdy_count: u32,
    /// The longest delay of `REQ`, which is clamped to it, and of `DPUB`, which is refused above it.
    pub max_requeue_delay: Duration,
    /// Whether Bis's own commands are understood. Only for a connection whose `IDENTIFY` was answered with
    /// the offer; for every other client they are unknown commands, as on nsqd.
    pub extensions: bool,
    /// The largest body that is read from a client that must identify itself first, by TLS or `AUTH`; `None` once it has.
    pub max_stranger_bytes: Option<usize>,
}

impl Limits {
    /// The longest command line, its line end included; a longer one ends the connection.
    pub const MAX_LINE_BYTES: usize = 16 * 1024;
    /// The largest message, in bytes.
    pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1024 * 1024;
    /// The largest body of a command, in bytes.
    pub const DEFAULT_MAX_BODY_BYTES: usize = 5 * 1024 * 1024;
    /// The most messages a client may ask for with `RDY`.
    pub const DEFAULT_MAX_RDY_COUNT: u32 = 2500;
    /// The longest delay of `REQ` and `DPUB`.
    pub const DEFAULT_MAX_REQUEUE_DELAY: Duration = Duration::from_secs(60 * 60);
    /// The time that a delivery may take before the server delivers again.
    pub const DEFAULT_MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);
    /// The longest time that `TOUCH` can extend a delivery to, and that a client may ask for.
    pub const MAX_MESSAGE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
    /// The shortest message timeout that a client may ask for.
    pub const MIN_MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);
    /// The time between heartbeats; the server reads for at most twice as long.
    pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
    /// The shortest time between heartbeats.
    pub const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
    /// The longest time between heartbeats.
    pub const MAX_HEARTBEAT: Duration = Duration::from_secs(60);
    /// The server's write buffer for one client, in bytes.
    pub const DEFAULT_OUTPUT_BUFFER_BYTES: usize = 16 * 1024;
    /// The smallest write buffer that a client may ask for, in bytes.
    pub const MIN_OUTPUT_BUFFER_BYTES: usize = 64;
    /// The largest write buffer that a client may ask for, in bytes.
    pub const MAX_OUTPUT_BUFFER_BYTES: usize = 64 * 1024;
    /// The longest that a message waits in the write buffer.
    pub const DEFAULT_OUTPUT_BUFFER_TIMEOUT: Duration = Duration::from_millis(250);
    /// The shortest wait in the write buffer that a client may ask for.
    pub const MIN_OUTPUT_BUFFER_TIMEOUT: Duration = Duration::from_millis(25);
    /// The longest wait in the write buffer that a client may ask for.
    pub const MAX_OUTPUT_BUFFER_TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: Self::DEFAULT_MAX_MESSAGE_BYTES,
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            max_rdy_count: Self::DEFAULT_MAX_RDY_COUNT,
            max_requeue_delay: Self::DEFAULT_MAX_REQUEUE_DELAY,
            extensions: false,
            max_stranger_bytes: None,
        }
    }
}
