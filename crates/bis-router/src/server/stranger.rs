//! Clients that must make themselves known, by TLS or `AUTH`, and have not yet: how much they may send, and for how long.
//! Whom to ask, and what is granted, is in [`super::permission`].

use bis_nsq::{ErrorCode, ProtocolError};
use tokio::time::Instant;

use super::connection::Connection;
use crate::options::TlsRequired;

/// The largest body of a command that is read from a stranger. Secrets may be long tokens.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// What a stranger may send in all. It may send on without waiting for the answer to its `AUTH`.
const MAX_BYTES: usize = 256 * 1024;

/// What is kept of a stranger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stranger {
    /// When it must be known.
    until: Instant,
    /// How many bytes it has sent.
    bytes: usize,
}

impl Connection {
    /// Whether TLS is required and not there.
    pub(super) fn lacks_tls(&self) -> bool {
        self.client.tls.is_none() && self.server.options.tls.required() != TlsRequired::No
    }

    /// A client that has just come, or has just done something to be known.
    pub(super) fn note_known(&mut self) {
        let lacks_grant = self.server.authorizer.is_some() && self.grant.is_none();
        if lacks_grant || self.lacks_tls() {
            let until = Instant::now() + self.server.options.stranger_timeout;
            self.stranger.get_or_insert(Stranger { until, bytes: 0 });
            self.limits.max_stranger_bytes = Some(MAX_BODY_BYTES);
        } else {
            self.stranger = None;
            self.limits.max_stranger_bytes = None;
        }
    }

    /// Some bytes have come.
    pub(super) fn count_bytes(&mut self, count: usize) {
        let Some(stranger) = &mut self.stranger else { return };
        stranger.bytes += count;
        if stranger.bytes > MAX_BYTES {
            let text = format!("more than {MAX_BYTES} bytes from a client that is not known yet");
            self.refuse(&ProtocolError::new(ErrorCode::Invalid, text));
        }
    }

    /// When the client must be known; `None` once it is.
    pub(super) fn must_be_known(&self) -> Option<Instant> {
        self.stranger.map(|stranger| stranger.until)
    }

    /// The client took too long to be known.
    pub(super) fn turn_away(&mut self) {
        let what = if self.lacks_tls() { "TLS" } else { "AUTH" };
        let text = format!("{what} took longer than {:?}", self.server.options.stranger_timeout);
        self.stranger = None;
        self.refuse(&ProtocolError::new(ErrorCode::Invalid, text));
    }
}
