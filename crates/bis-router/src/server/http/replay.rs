//! Replay over HTTP, which nsqd does not have: a channel goes back (or on) to a sequence or a time.
//!
//! A time is looked up by halving: among the pieces of the topic that are kept, then within one. It takes the publish times
//! to rise with the sequences, as they do unless the machine's clock goes back; then it may land a little off. Nothing is
//! read under the state's lock.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use bis_nsq::Name;
use serde_json::json;

use super::{
    ApiError, Arguments, Reply, bad, decided, existing, json_reply, missing, open, ticket_of,
    topic_and_channel,
};
use crate::journal::record;
use crate::server::Server;

/// Where a channel is to go.
enum Place {
    Sequence(u64),
    /// The first message published at this time or later, in nanoseconds since 1970.
    Time(u64),
}

/// `/channel/replay`: everything from a place on comes (again).
pub(super) async fn replay(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let number = |text: &str, error: &str| text.parse::<u64>().map_err(|_| bad(error));
    let place = match (arguments.get("from"), arguments.get("time")) {
        (Some(from), None) => Place::Sequence(number(from, "INVALID_FROM")?),
        (None, Some(time)) => Place::Time(number(time, "INVALID_TIME")?),
        (None, None) => return Err(bad("MISSING_ARG_FROM_OR_TIME")),
        (Some(_), Some(_)) => return Err(bad("FROM_AND_TIME")),
    };
    let to = match place {
        Place::Sequence(sequence) => sequence,
        Place::Time(time) => first_at(&server, &topic, time).await?,
    };
    let (replayed, ticket) = {
        let mut state = server.shared.lock();
        open(&state)?;
        let topic = existing(&state, topic.as_str())?;
        let replayed = state.replay(topic, &channel, to).ok_or_else(|| missing("CHANNEL_NOT_FOUND"))?;
        (replayed, ticket_of(&state))
    };
    decided(&server, ticket).await?;
    let (from, messages) = (replayed.from, replayed.messages);
    tracing::info!(
        topic = topic.as_str(),
        channel = channel.as_str(),
        from,
        messages,
        "a channel is replayed"
    );
    Ok(json_reply(&json!({"from": from, "messages": messages})))
}

/// The first kept message of a topic that was published at a time or later; one past the last when none was.
async fn first_at(server: &Server, topic: &Name, time: u64) -> Result<u64, ApiError> {
    let (number, pieces) = {
        let state = server.shared.lock();
        let number = existing(&state, topic.as_str())?;
        (number, state.log.kept(number))
    };
    // The last piece that begins before that time is where it lies.
    let (mut low, mut high) = (0, pieces.len());
    while low < high {
        let middle = low.midpoint(high);
        let (start, end) = pieces[middle];
        if is_before(server, number, start, end, time).await? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some((start, end)) = low.checked_sub(1).map(|piece| pieces[piece]) else {
        return Ok(pieces.first().map_or(0, |(start, _)| *start));
    };
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(server, number, middle, high, time).await? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Whether the first message of `start..end` that can be read was published before a time; no when none can be.
async fn is_before(server: &Server, topic: u32, start: u64, end: u64, time: u64) -> Result<bool, ApiError> {
    for sequence in start..end {
        if let Some(published) = published(server, topic, sequence).await? {
            return Ok(published < time);
        }
    }
    Ok(false)
}

/// When a message was published; `None` when it is gone or damaged.
async fn published(server: &Server, topic: u32, sequence: u64) -> Result<Option<u64>, ApiError> {
    let mut fetched = None;
    loop {
        let lacks = {
            let mut state = server.shared.lock();
            if let Some(fetched) = fetched.take() {
                state.log.supply(fetched);
            }
            match state.log.record(topic, sequence) {
                Ok(record) => {
                    return Ok(record.as_deref().and_then(record::header).map(|header| header.published));
                }
                Err(lacks) => lacks,
            }
        };
        let failed =
            |error| ApiError(StatusCode::SERVICE_UNAVAILABLE, format!("the journal cannot be read: {error}"));
        fetched = Some(server.shared.fetch(lacks).await.map_err(failed)?);
    }
}
