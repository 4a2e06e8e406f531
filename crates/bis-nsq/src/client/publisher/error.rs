//! The error of a publish.

use crate::{ErrorCode, ProtocolError};

/// Why a publish failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There was no connection for as long as a publish waits. The server does not have the message.
    #[error("no connection to the NSQ server: {reason}")]
    Unreachable {
        /// The error of the last attempt to connect.
        reason: String,
    },
    /// The connection broke before the answer; the server may have the message.
    #[error("the connection was lost before the server answered")]
    Unanswered,
    /// The server refused the publish.
    #[error("the server refused: `{0}`")]
    Refused(ProtocolError),
    /// The publisher was closed.
    #[error("the publisher is closed")]
    Closed,
}

impl PublishError {
    /// Whether the server refused the publish because it is stopping. It has not accepted the message, and may come
    /// back as soon as any server that is gone.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Refused(refusal) if is_stop(refusal))
    }
}

/// Whether this is the answer of a server that is stopping.
pub(super) fn is_stop(refusal: &ProtocolError) -> bool {
    use ErrorCode::{DeferredPublishFailed, MultiPublishFailed, PublishFailed};
    matches!(refusal.code, PublishFailed | MultiPublishFailed | DeferredPublishFailed)
        && refusal.to_string().ends_with(" exiting")
}
