//! A channel's messages over HTTP, which nsqd does not have: peek at them, finish one, replay them.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use bis_broker::channel::FinishIdleError;
use bis_journal::InquiryError;
use bis_nsq::{MessageId, ReplayFrom};

use super::{
    ApiError, Arguments, Reply, bad, decided, existing, json_reply, missing, open, refusal, ticket_of,
    topic_and_channel, versioned,
};
use crate::server::{Server, inquiry};

/// How many messages a peek shows unless asked.
const DEFAULT_PEEK: usize = 100;

impl From<InquiryError> for ApiError {
    fn from(error: InquiryError) -> Self {
        let status = match &error {
            InquiryError::NoTopic | InquiryError::NoChannel => StatusCode::NOT_FOUND,
            InquiryError::Unreadable(_) | InquiryError::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refusal(&inquiry::words(&error)))
    }
}

/// `/channel/peek`: up to `limit` messages after the sequence `after`, without taking them.
pub(super) async fn peek(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let limit = number(&arguments, "limit", "INVALID_LIMIT")?;
    let limit = limit.map_or(DEFAULT_PEEK, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let after = number(&arguments, "after", "INVALID_AFTER")?;
    Ok(json_reply(&inquiry::peek(&server, &topic, &channel, limit, after).await?))
}

/// `/channel/replay`: everything from a place on comes (again).
pub(super) async fn replay(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let sequence = number(&arguments, "from", "INVALID_FROM")?;
    let time = number(&arguments, "time", "INVALID_TIME")?;
    let from = match (sequence, time) {
        (Some(sequence), None) => ReplayFrom::Sequence(sequence),
        (None, Some(time)) => ReplayFrom::Time(time),
        (None, None) => return Err(bad("MISSING_ARG_FROM_OR_TIME")),
        (Some(_), Some(_)) => return Err(bad("FROM_AND_TIME")),
    };
    Ok(json_reply(&inquiry::replay(&server, &topic, &channel, from).await?))
}

/// `/channel/finish`: finishes a message that no consumer has, by its `id`.
pub(super) async fn finish(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let id = arguments.get("id").ok_or_else(|| bad("MISSING_ARG_ID"))?;
    let id = MessageId::from_slice(id.as_bytes()).and_then(MessageId::to_number);
    let sequence = id.ok_or_else(|| bad("INVALID_ID"))?;
    let ticket = {
        let mut state = server.journal.lock();
        open(&state)?;
        let topic = existing(&state, topic.as_str())?;
        if state.topic(topic).is_none_or(|topic| topic.channel(channel.as_str()).is_none()) {
            return Err(missing("CHANNEL_NOT_FOUND"));
        }
        state.finish_idle(topic, channel.as_str(), sequence).map_err(|error| match error {
            FinishIdleError::NotFound(_) => missing("MESSAGE_NOT_FOUND"),
            FinishIdleError::InFlight(_) => ApiError(StatusCode::CONFLICT, "MESSAGE_IN_FLIGHT".to_owned()),
        })?;
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(versioned(""))
}

fn number(arguments: &Arguments, name: &str, error: &str) -> Result<Option<u64>, ApiError> {
    arguments.get(name).map(|text| text.parse().map_err(|_| bad(error))).transpose()
}
