//! Clients that must make themselves known, by TLS or `AUTH`, and have not yet: how much they may send, and for how long.
//! Whom to ask, and what is granted, is in [`super::permission`].

use std::time::Duration;

use bis_nsq::{ErrorCode, ProtocolError};
use tokio::time::Instant;

/// The largest body of a command that is read from a stranger. Secrets may be long tokens.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
/// What a stranger may send in all. It may send on without waiting for the answer to its `AUTH`.
const MAX_BYTES: usize = 256 * 1024;

/// What is kept about a stranger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stranger {
    /// When it must be known.
    pub(super) until: Instant,
    /// How many bytes it has sent.
    bytes: usize,
}

impl Stranger {
    /// It has this long to identify itself.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { until: Instant::now() + timeout, bytes: 0 }
    }

    /// Some bytes have come. Refuses when they are too many.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.bytes += bytes;
        if self.bytes <= MAX_BYTES {
            return Ok(());
        }
        let text = format!("more than {MAX_BYTES} bytes from a client that is not known yet");
        Err(ProtocolError::new(ErrorCode::Invalid, text))
    }

    /// What it is told when it took too long.
    pub(super) fn late(what: &str, timeout: Duration) -> ProtocolError {
        ProtocolError::new(ErrorCode::Invalid, format!("{what} took longer than {timeout:?}"))
    }
}
