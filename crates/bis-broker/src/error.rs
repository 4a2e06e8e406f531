//! What can go wrong with a broker, one enum per operation.

use std::time::Duration;

use bis_core::{TopicName, codes, format_duration};

/// Why one event was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No connection could be made in the time that the driver waits for one. The broker does not have the event.
    #[error("the broker at `{address}` cannot be reached: {reason} [{}]", codes::BROKER_UNREACHABLE)]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the last attempt to connect failed with.
        reason: String,
    },
    /// The connection was lost before the broker answered: it may have the event or not.
    #[error(
        "the connection to the broker at `{address}` was lost before it answered; the event may have been taken"
    )]
    Unanswered {
        /// The broker.
        address: String,
    },
    /// The event is larger than the broker takes.
    #[error(
        "the event has {bytes} bytes on the wire and the broker takes {limit}; put the bulk elsewhere and publish where it is [{}]",
        codes::TOO_LARGE
    )]
    TooLarge {
        /// Its size on the wire.
        bytes: usize,
        /// The broker's limit.
        limit: usize,
    },
    /// The delay is longer than the broker can keep an event back.
    #[error("a delay of {} is too long for this broker, which keeps events back for at most {} [{}]", format_duration(*.delay), format_duration(*.limit), codes::DELAY_TOO_LONG)]
    DelayTooLong {
        /// What was asked for.
        delay: Duration,
        /// The broker's limit.
        limit: Duration,
    },
    /// The broker answered that it cannot store events now: it has no room, or is about to stop. It does not have the event.
    #[error("the broker takes no events now: {0}")]
    Unavailable(String),
    /// The broker answered that it does not take the event.
    #[error("the broker refused the event: {0}")]
    Refused(String),
    /// The broker was closed by this process.
    #[error("the app is stopping and publishes no more")]
    Closed,
}

impl PublishError {
    /// Whether nothing is wrong with the event: the broker was away, had no room, or was closed. The same publish may
    /// succeed later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unanswered { .. } | Self::Unavailable(_) | Self::Closed => true,
            Self::TooLarge { .. } | Self::DelayTooLong { .. } | Self::Refused(_) => false,
        }
    }
}

/// Why a topology could not be ensured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnsureError {
    /// The topic asks for what the broker cannot do.
    #[error("topic `{topic}` asks for {what}, which this broker cannot do [{}]", codes::BROKER_UNABLE)]
    Unsupported {
        /// The topic.
        topic: TopicName,
        /// What it asks for.
        what: &'static str,
    },
    /// The broker answered that it does not make it.
    #[error("the broker refused: {0} [{code}]", code = codes::BROKER_REFUSED)]
    Refused(String),
    /// The broker cannot be talked to as this process is set up, now or later.
    #[error("the broker cannot be used: {0} [{code}]", code = codes::BROKER_MISCONFIGURED)]
    Misconfigured(String),
    /// The broker was closed by this process.
    #[error("the app is stopping")]
    Closed,
}

/// Why a subscription cannot be consumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The broker answered that this consumer gets nothing.
    #[error("the broker refused the subscription: {0} [{code}]", code = codes::BROKER_REFUSED)]
    Refused(String),
    /// The broker was closed by this process.
    #[error("the app is stopping and consumes no more")]
    Closed,
}

/// Why a subscription could not be looked into, or moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    /// The broker does not support it.
    #[error("this broker cannot {what}; a single router can (`bis router`)")]
    Unsupported {
        /// What it cannot do.
        what: &'static str,
    },
    /// No answer came. A replay may have been done.
    #[error("the broker at `{address}` did not answer: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The broker refused, or could not make a replay durable.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// The broker was closed by this process.
    #[error("the app is stopping")]
    Closed,
}

impl InquiryError {
    /// The refusal of a broker without the capability `peek`.
    pub const NO_PEEK: Self = Self::Unsupported { what: "show events that wait" };

    /// The refusal of a broker without the capability `replay`.
    pub const NO_REPLAY: Self = Self::Unsupported { what: "replay events that were handled" };
}

/// Why a delivery could not be settled. The event comes again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The delivery is no longer this consumer's: its lease ended or its connection is gone.
    #[error("the delivery is no longer held here; the event will come again")]
    Lost,
    /// The broker was closed by this process.
    #[error("the app has stopped; the event will come again")]
    Closed,
}
