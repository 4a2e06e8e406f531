//! `/pub` and `/mpub`. It answers once the messages are stored.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use bis_broker::channel::Time;
use bis_nsq::Name;
use bytes::Bytes;
use hyper::body::Body as _;

use super::{ApiError, Arguments, Reply, bad, decided, refusal, ticket_of, too_large, versioned};
use crate::journal::record;
use crate::server::Server;
use crate::state::MessageFacts;

/// `/pub`: one message, delayed by `defer` milliseconds, with an ordering `key`.
pub(super) async fn one(
    Extract(server): Extract<Arc<Server>>,
    arguments: Result<Arguments, ApiError>,
    request: Request,
) -> Reply {
    let body = read(request.into_body(), server.options.max_message_bytes, "MSG_TOO_BIG").await?;
    if body.is_empty() {
        return Err(bad("MSG_EMPTY"));
    }
    let arguments = arguments?;
    let topic = topic_name(&arguments)?;
    let now = server.shared.clock.now();
    let due = match arguments.get("defer") {
        None => Time::ZERO,
        Some(millis) => {
            let millis = millis.parse::<i64>().ok().and_then(|millis| u64::try_from(millis).ok());
            let delay = millis.map(Duration::from_millis).ok_or_else(|| bad("INVALID_DEFER"))?;
            if delay > server.options.max_requeue_delay {
                return Err(bad("INVALID_DEFER"));
            }
            now.plus(delay)
        }
    };
    let key = arguments.get("key").map(|key| record::key_hash(key.as_bytes()));
    store(&server, &topic, &[&body], &MessageFacts { due, key, ..MessageFacts::default() }).await
}

/// `/mpub`: several messages, one a line, or each with its length where `binary` is set. No message is no error.
pub(super) async fn many(
    Extract(server): Extract<Arc<Server>>,
    arguments: Result<Arguments, ApiError>,
    request: Request,
) -> Reply {
    let (body_limit, limit) = (server.options.max_body_bytes, server.options.max_message_bytes);
    if request.body().size_hint().lower() > body_limit as u64 {
        return Err(too_large("BODY_TOO_BIG"));
    }
    let arguments = arguments?;
    let topic = topic_name(&arguments)?;
    let body = read(request.into_body(), body_limit, "BODY_TOO_BIG").await?;
    // As on nsqd, any other word than its own means yes.
    let is_binary = arguments.get("binary").is_some() && arguments.flag("binary") != Some(false);
    let messages = if is_binary { split_binary(&body, body_limit, limit) } else { split_lines(&body, limit) };
    store(&server, &topic, &messages.map_err(too_large)?, &MessageFacts::default()).await
}

async fn store(server: &Server, topic: &Name, messages: &[&[u8]], facts: &MessageFacts) -> Reply {
    let now = server.shared.clock.now();
    let ticket = loop {
        let crowded = {
            let mut state = server.shared.lock();
            let Some(crowded) = state.crowded() else {
                let published = state.publish(topic, messages.iter().copied(), facts, now);
                published.map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, refusal(&reason)))?;
                break ticket_of(&state);
            };
            crowded
        };
        // Whether that commit holds is for its own publishers.
        let _ = server.shared.decided(crowded).await;
    };
    decided(server, ticket).await?;
    Ok(versioned("OK"))
}

fn topic_name(arguments: &Arguments) -> Result<Name, ApiError> {
    let name = arguments.get("topic").ok_or_else(|| bad("MISSING_ARG_TOPIC"))?;
    Name::new(name).map_err(|_| bad("INVALID_TOPIC"))
}

async fn read(body: Body, limit: usize, error: &str) -> Result<Bytes, ApiError> {
    to_bytes(body, limit).await.map_err(|_| too_large(error))
}

/// The lines that are not empty, or nsqd's word for what is wrong with one.
fn split_lines(body: &[u8], limit: usize) -> Result<Vec<&[u8]>, &'static str> {
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.iter().any(|line| line.len() > limit) { Err("MSG_TOO_BIG") } else { Ok(lines) }
}

/// The messages of a binary body: a count, then each with its length, all big-endian; or nsqd's word for what is wrong.
/// Bytes after the last message are an error too: nsqd drops them.
fn split_binary(body: &[u8], body_limit: usize, limit: usize) -> Result<Vec<&[u8]>, &'static str> {
    let (count, mut rest) = body.split_first_chunk::<4>().ok_or("BAD_BODY")?;
    let count = u32::from_be_bytes(*count) as usize;
    // The count itself takes 4 bytes, each message at least 5.
    if count == 0 || count > body_limit.saturating_sub(4) / 5 {
        return Err("BAD_BODY");
    }
    let mut messages = Vec::with_capacity(count.min(body.len() / 5));
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>().ok_or("BAD_MESSAGE")?;
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > limit {
            return Err("BAD_MESSAGE");
        }
        let (message, after) = after.split_at_checked(length).ok_or("BAD_MESSAGE")?;
        messages.push(message);
        rest = after;
    }
    if rest.is_empty() { Ok(messages) } else { Err("BAD_BODY") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(count: u32, messages: &[&[u8]]) -> Vec<u8> {
        let mut body = count.to_be_bytes().to_vec();
        for message in messages {
            body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            body.extend_from_slice(message);
        }
        body
    }

    #[test]
    fn bodies_of_several_messages_are_split() {
        assert_eq!(split_lines(b"a\n\nbc\n", 2), Ok(vec![&b"a"[..], b"bc"]));
        assert_eq!(split_lines(b"abc", 2), Err("MSG_TOO_BIG"));
        assert_eq!(split_binary(&binary(2, &[b"a", b"b\nc"]), 24, 3), Ok(vec![&b"a"[..], b"b\nc"]));
        for (body, error) in [
            (binary(0, &[]), "BAD_BODY"),
            (vec![0, 0], "BAD_BODY"),
            (binary(u32::MAX, &[b"a"]), "BAD_BODY"),
            (binary(5, &[b"a"]), "BAD_BODY"),
            (binary(4, &[b"a"]), "BAD_MESSAGE"),
            (binary(1, &[b"a", b"b"]), "BAD_BODY"),
            (binary(3, &[b"a", b"b"]), "BAD_MESSAGE"),
            (binary(1, &[b""]), "BAD_MESSAGE"),
            (binary(1, &[b"abcd"]), "BAD_MESSAGE"),
            (binary(1, &[b"abc"])[..10].to_vec(), "BAD_MESSAGE"),
        ] {
            assert_eq!(split_binary(&body, 24, 3), Err(error), "{body:?}");
        }
    }
}
