//! A channel's messages over HTTP, which nsqd does not have: look at them, finish one.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bis_broker::channel::{FinishIdleError, Standing};
use bis_nsq::MessageId;
use serde_json::json;

use super::{
    ApiError, Arguments, Reply, bad, decided, existing, json_reply, missing, open, ticket_of,
    topic_and_channel, versioned,
};
use crate::server::Server;
use crate::state::delivery::{Peek, PeekPage};

/// The most messages that one peek shows, and what it shows unless asked.
const MAX_PEEK: usize = 1000;
const DEFAULT_PEEK: usize = 100;

/// `/channel/peek`: up to `limit` messages after the sequence `after`, without taking them.
pub(super) async fn peek(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let number = |name: &str, error: &str| {
        arguments.get(name).map(|text| text.parse::<u64>().map_err(|_| bad(error))).transpose()
    };
    let limit = number("limit", "INVALID_LIMIT")?;
    let after = number("after", "INVALID_AFTER")?;
    let limit = limit.map_or(DEFAULT_PEEK, |limit| usize::try_from(limit).unwrap_or(MAX_PEEK).min(MAX_PEEK));
    let mut page = PeekPage::new(after, limit);
    let mut fetched = None;
    let more = loop {
        let lacks = {
            let now = server.shared.clock.now();
            let mut state = server.shared.lock();
            if let Some(fetched) = fetched.take() {
                state.log.supply(fetched);
            }
            let topic = existing(&state, topic.as_str())?;
            match state.peek(topic, &channel, &mut page, now) {
                None => return Err(missing("CHANNEL_NOT_FOUND")),
                Some(Peek::Done { more }) => break more,
                Some(Peek::Missing(lacks)) => lacks,
            }
        };
        let read = server.shared.fetch(lacks).await;
        let failed =
            |error| ApiError(StatusCode::SERVICE_UNAVAILABLE, format!("the journal cannot be read: {error}"));
        fetched = Some(read.map_err(failed)?);
    };
    let messages: Vec<_> = page
        .messages
        .iter()
        .map(|message| {
            let state = match message.peeked.standing {
                Standing::Ready => "ready",
                Standing::Deferred { .. } => "deferred",
                Standing::InFlight { .. } => "in-flight",
            };
            json!({
                "sequence": message.peeked.sequence,
                "id": MessageId::from_number(message.peeked.sequence).to_string(),
                "timestamp_ns": message.published,
                "attempts": message.peeked.attempts,
                "state": state,
                "body_base64": STANDARD.encode(&message.body),
            })
        })
        .collect();
    Ok(json_reply(&json!({"messages": messages, "more": more})))
}

/// `/channel/finish`: finishes a message that no consumer has, by its `id`.
pub(super) async fn finish(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let id = arguments.get("id").ok_or_else(|| bad("MISSING_ARG_ID"))?;
    let id = MessageId::from_slice(id.as_bytes()).and_then(MessageId::to_number);
    let sequence = id.ok_or_else(|| bad("INVALID_ID"))?;
    let ticket = {
        let mut state = server.shared.lock();
        open(&state)?;
        let topic = existing(&state, topic.as_str())?;
        if state.channel(topic, &channel).is_none() {
            return Err(missing("CHANNEL_NOT_FOUND"));
        }
        state.finish_idle(topic, &channel, sequence).map_err(|error| match error {
            FinishIdleError::NotFound(_) => missing("MESSAGE_NOT_FOUND"),
            FinishIdleError::InFlight(_) => ApiError(StatusCode::CONFLICT, "MESSAGE_IN_FLIGHT".to_owned()),
        })?;
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(versioned(""))
}
