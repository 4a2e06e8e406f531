//! `/pub` and `/mpub`. It answers once the messages are stored.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use bis_broker::channel::Time;
use bis_journal::{MessageFacts, key_hash};
use bis_nsq::{Bodies, Limits, Name, ProtocolError};
use bytes::Bytes;
use hyper::body::Body as _;

use super::{ApiError, Arguments, Reply, bad, read, refusal, too_large, versioned};
use crate::options::Options;
use crate::server::Server;

/// `/pub`: one message, delayed by `defer` milliseconds, with an ordering `key`.
pub(super) async fn one(
    Extract(server): Extract<Arc<Server>>,
    arguments: Result<Arguments, ApiError>,
    request: Request,
) -> Reply {
    let body = read(&server, request.into_body(), server.options.max_message_bytes, "MSG_TOO_BIG").await?;
    if body.is_empty() {
        return Err(bad("MSG_EMPTY"));
    }
    let arguments = arguments?;
    let topic = topic_name(&arguments)?;
    let now = server.journal.clock().now();
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
    let key = arguments.get("key").map(|key| key_hash(key.as_bytes()));
    let facts = MessageFacts { due, key, ..MessageFacts::default() };
    store(&server, &topic, std::iter::once(&body[..]), &facts).await
}

/// `/mpub`: several messages, one per line, or each with its length where `binary` is set. No message is not an error.
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
    let body = read(&server, request.into_body(), body_limit, "BODY_TOO_BIG").await?;
    // As on nsqd, any word other than its own means yes.
    let is_binary = arguments.get("binary").is_some() && arguments.flag("binary") != Some(false);
    if is_binary {
        let bodies = split_binary(body, &server.options)?;
        store(&server, &topic, bodies.iter(), &MessageFacts::default()).await
    } else {
        let lines = split_lines(&body, limit)?;
        store(&server, &topic, lines, &MessageFacts::default()).await
    }
}

async fn store(
    server: &Server,
    topic: &Name,
    messages: impl Iterator<Item = &[u8]> + Clone,
    facts: &MessageFacts,
) -> Reply {
    let stored = server.journal.store(topic.as_str(), messages, facts).await;
    stored.map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, refusal(&reason)))?;
    Ok(versioned("OK"))
}

fn topic_name(arguments: &Arguments) -> Result<Name, ApiError> {
    let name = arguments.get("topic").ok_or_else(|| bad("MISSING_ARG_TOPIC"))?;
    Name::new(name).map_err(|_| bad("INVALID_TOPIC"))
}

/// The lines that are not empty, one after the other, or nsqd's word for what is wrong with one.
fn split_lines(body: &[u8], limit: usize) -> Result<impl Iterator<Item = &[u8]> + Clone, ApiError> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    if lines.clone().any(|line| line.len() > limit) { Err(too_large("MSG_TOO_BIG")) } else { Ok(lines) }
}

/// The messages of a binary body: a count, then each with its length, all big-endian; or nsqd's word for what is wrong.
/// Bytes after the last message are an error too: nsqd drops them.
fn split_binary(mut body: Bytes, options: &Options) -> Result<Bodies, ApiError> {
    let limits = Limits {
        max_message_bytes: options.max_message_bytes,
        max_body_bytes: options.max_body_bytes,
        ..Limits::default()
    };
    // The code without its `E_`, as on nsqd.
    let refused = |error: ProtocolError| too_large(error.code.as_str().trim_start_matches("E_"));
    let bodies = Bodies::decode(&mut body, &limits).map_err(refused)?;
    if body.is_empty() { Ok(bodies) } else { Err(too_large("BAD_BODY")) }
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
        let lines = |body, limit| split_lines(body, limit).map(Iterator::collect::<Vec<_>>);
        assert_eq!(lines(b"a\n\nbc\n", 2), Ok(vec![&b"a"[..], b"bc"]));
        assert_eq!(lines(b"abc", 2), Err(too_large("MSG_TOO_BIG")));
        let options = Options { max_message_bytes: 3, max_body_bytes: 24, ..Options::new("") };
        let split = |body: Vec<u8>| split_binary(body.into(), &options);
        assert_eq!(split(binary(2, &[b"a", b"b\nc"])), Ok([&b"a"[..], b"b\nc"].into_iter().collect()));
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
            assert_eq!(split(body.clone()), Err(too_large(error)), "{body:?}");
        }
    }
}
