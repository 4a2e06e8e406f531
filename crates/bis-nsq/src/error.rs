//! The protocol's errors: a code, a description, and whether the connection goes on.

use std::borrow::Cow;
use std::fmt;

use crate::{MessageId, Name};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The code at the start of an error frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it is on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The code that `text` names.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    /// An unknown command, a wrong parameter, or a command out of place.
    Invalid = "E_INVALID",
    /// The client's magic names no protocol that the server speaks.
    BadProtocol = "E_BAD_PROTOCOL",
    /// The body of a command cannot be read.
    BadBody = "E_BAD_BODY",
    /// The topic's name is not allowed.
    BadTopic = "E_BAD_TOPIC",
    /// The channel's name is not allowed.
    BadChannel = "E_BAD_CHANNEL",
    /// The message is empty or too large.
    BadMessage = "E_BAD_MESSAGE",
    /// The message was not accepted.
    PublishFailed = "E_PUB_FAILED",
    /// None of the messages was accepted.
    MultiPublishFailed = "E_MPUB_FAILED",
    /// The deferred message was not accepted.
    DeferredPublishFailed = "E_DPUB_FAILED",
    /// The subscription was not made.
    SubscribeFailed = "E_SUB_FAILED",
    /// The negotiation failed.
    IdentifyFailed = "E_IDENTIFY_FAILED",
    /// The server wants `AUTH` before this command.
    AuthFirst = "E_AUTH_FIRST",
    /// The secret was refused, or has expired.
    AuthFailed = "E_AUTH_FAILED",
    /// The server has no authorization configured.
    AuthDisabled = "E_AUTH_DISABLED",
    /// The authorization server did not answer.
    AuthError = "E_AUTH_ERROR",
    /// The secret does not allow this topic or channel.
    Unauthorized = "E_UNAUTHORIZED",
    /// The message to finish is not in flight on this connection.
    FinishFailed = "E_FIN_FAILED",
    /// The message to put back is not in flight on this connection.
    RequeueFailed = "E_REQ_FAILED",
    /// The message to touch is not in flight on this connection.
    TouchFailed = "E_TOUCH_FAILED",
    /// The message to give back uncounted is not in flight on this connection (Bis's extension).
    ReleaseFailed = "E_RELEASE_FAILED",
    /// The channel cannot be looked at (Bis's extension).
    PeekFailed = "E_PEEK_FAILED",
    /// The channel was not moved, or the move may be lost at a restart (Bis's extension).
    ReplayFailed = "E_REPLAY_FAILED",
}

impl ErrorCode {
    /// Whether the server closes the connection after it.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        use ErrorCode::{FinishFailed, PeekFailed, ReleaseFailed, ReplayFailed, RequeueFailed, TouchFailed};
        let goes_on = [FinishFailed, RequeueFailed, TouchFailed, ReleaseFailed, PeekFailed, ReplayFailed];
        !goes_on.contains(&self)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a server answers instead of a response. Its text is the data of the error frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {description}")]
pub struct ProtocolError {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// nsqd's words for it.
    pub description: Cow<'static, str>,
}

impl ProtocolError {
    /// An error with nsqd's words.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: description.into() }
    }

    /// Whether the server closes the connection after it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.code.is_fatal()
    }

    /// `command` is known but not allowed now.
    #[must_use]
    pub fn out_of_place(command: &str) -> Self {
        Self::new(ErrorCode::Invalid, format!("cannot {command} in current state"))
    }

    /// A command that a client may only send after `AUTH`.
    #[must_use]
    pub fn unknown_client(command: &str) -> Self {
        Self::new(ErrorCode::AuthFirst, format!("AUTH required before {command}"))
    }

    /// `SUB` on a connection that switched its heartbeats off.
    #[must_use]
    pub fn subscribe_without_heartbeats() -> Self {
        Self::new(ErrorCode::Invalid, "cannot SUB with heartbeats disabled")
    }

    /// `SUB` on a channel that takes no more consumers.
    #[must_use]
    pub fn too_many_consumers(topic: &Name, channel: &Name, limit: usize) -> Self {
        let text = format!("SUB failed consumers for {topic}:{channel} exceeds limit of {limit}");
        Self::new(ErrorCode::SubscribeFailed, text)
    }

    /// A publish that could not be stored; `command` is its word, such as `PUB`.
    #[must_use]
    pub fn publish_failed(command: &'static str, reason: &str) -> Self {
        let code = match command {
            "MPUB" => ErrorCode::MultiPublishFailed,
            "DPUB" => ErrorCode::DeferredPublishFailed,
            _ => ErrorCode::PublishFailed,
        };
        Self::new(code, format!("{command} failed {reason}"))
    }

    /// `FIN` of a message that this connection does not hold; `reason` is for example `ID not in flight`.
    #[must_use]
    pub fn finish_failed(id: MessageId, reason: &str) -> Self {
        Self::new(ErrorCode::FinishFailed, format!("FIN {id} failed {reason}"))
    }

    /// `REQ` of a message that this connection does not hold.
    #[must_use]
    pub fn requeue_failed(id: MessageId, reason: &str) -> Self {
        Self::new(ErrorCode::RequeueFailed, format!("REQ {id} failed {reason}"))
    }

    /// `TOUCH` of a message that this connection does not hold.
    #[must_use]
    pub fn touch_failed(id: MessageId, reason: &str) -> Self {
        Self::new(ErrorCode::TouchFailed, format!("TOUCH {id} failed {reason}"))
    }

    /// `RELEASE` of a message that this connection does not hold.
    #[must_use]
    pub fn release_failed(id: MessageId, reason: &str) -> Self {
        Self::new(ErrorCode::ReleaseFailed, format!("RELEASE {id} failed {reason}"))
    }

    /// `PEEK` of a channel that does not exist or cannot be read.
    #[must_use]
    pub fn peek_failed(reason: &str) -> Self {
        Self::new(ErrorCode::PeekFailed, format!("PEEK failed {reason}"))
    }

    /// `REPLAY` of a channel that does not exist, or whose move could not be stored.
    #[must_use]
    pub fn replay_failed(reason: &str) -> Self {
        Self::new(ErrorCode::ReplayFailed, format!("REPLAY failed {reason}"))
    }

    /// Reads an error frame. An unknown code is `None`: treat it as fatal.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(data);
        let (code, description) = text.split_once(' ').unwrap_or((&text, ""));
        Some(Self::new(ErrorCode::parse(code)?, description.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_few_are_not_fatal() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        }
        let kept: Vec<_> =
            ErrorCode::ALL.iter().filter(|code| !code.is_fatal()).map(|c| c.as_str()).collect();
        let expected = ["FIN", "REQ", "TOUCH", "RELEASE", "PEEK", "REPLAY"];
        assert_eq!(kept, expected.map(|word| format!("E_{word}_FAILED")));
    }

    #[test]
    fn texts_are_nsqds() {
        let id = MessageId::new(*b"0123456789abcdef");
        let check = |error: ProtocolError, text: &str| {
            assert_eq!(error.to_string(), text);
            assert_eq!(ProtocolError::parse(text.as_bytes()), Some(error));
        };
        check(
            ProtocolError::finish_failed(id, "ID not in flight"),
            "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight",
        );
        check(ProtocolError::out_of_place("SUB"), "E_INVALID cannot SUB in current state");
        assert_eq!(ProtocolError::parse(b"E_OTHER x"), None);
    }
}
