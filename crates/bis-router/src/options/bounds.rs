//! How far limits may be raised. A segment of the journal has a maximum size: what one command brings must fit beside
//! what others wait for.

use super::Options;

/// The largest message, and the largest body of a command or request, that may be allowed, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;

/// A limit that is raised too far.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a largest {what} of {bytes} bytes is more than the journal can hold; allow at most {MAX_BODY_BYTES}"
)]
pub struct BoundError {
    /// What is limited.
    pub what: &'static str,
    /// The limit that was asked for, in bytes.
    pub bytes: usize,
}

impl Options {
    /// Refuses limits that the journal cannot keep.
    pub(crate) fn check_bounds(&self) -> Result<(), BoundError> {
        let limits = [("message", self.max_message_bytes), ("body", self.max_body_bytes)];
        match limits.into_iter().find(|(_, bytes)| *bytes > MAX_BODY_BYTES) {
            Some((what, bytes)) => Err(BoundError { what, bytes }),
            None => Ok(()),
        }
    }
}
