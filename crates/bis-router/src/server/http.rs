//! nsqd's HTTP API, with `peek` and `finish` beyond it. Errors have nsqd's shape and words.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bis_broker::channel::{FinishIdleError, Standing, Time};
use bis_nsq::{MessageId, Name};
use serde_json::json;

use super::stats::{self, Filter};
use super::{Server, VERSION};
use crate::journal::record;
use crate::state::delivery::{Peek, PeekPage};
use crate::state::{MessageFacts, State, Ticket};

/// The most messages that one peek shows, and what it shows unless asked.
const MAX_PEEK: usize = 1000;
const DEFAULT_PEEK: usize = 100;

type Arguments = Query<HashMap<String, String>>;
type Reply = Result<Response, ApiError>;

/// An error in nsqd's shape.
struct ApiError(StatusCode, String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"message": self.1}).to_string();
        let mut response = (self.0, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert("x-nsq-content-type", HeaderValue::from_static("nsq; version=1.0"));
        response
    }
}

/// The API's routes.
pub(super) fn routes(server: Arc<Server>) -> Router {
    let channel = |action| post(move |server, arguments| channel_action(server, arguments, action));
    let topic = |action| post(move |server, arguments| topic_action(server, arguments, action));
    Router::new()
        .route("/ping", get(ping))
        .route("/info", get(info))
        .route("/stats", get(show_stats))
        .route("/pub", post(publish))
        .route("/mpub", post(multi_publish))
        .route("/topic/create", topic(Action::Create))
        .route("/topic/delete", topic(Action::Delete))
        .route("/topic/empty", topic(Action::Empty))
        .route("/topic/pause", topic(Action::Pause))
        .route("/topic/unpause", topic(Action::Unpause))
        .route("/channel/create", channel(Action::Create))
        .route("/channel/delete", channel(Action::Delete))
        .route("/channel/empty", channel(Action::Empty))
        .route("/channel/pause", channel(Action::Pause))
        .route("/channel/unpause", channel(Action::Unpause))
        .route("/channel/peek", get(peek))
        .route("/channel/finish", post(finish))
        .fallback(|| async { ApiError(StatusCode::NOT_FOUND, "NOT_FOUND".to_owned()) })
        .method_not_allowed_fallback(|| async {
            ApiError(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED".to_owned())
        })
        .with_state(server)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Delete,
    Empty,
    Pause,
    Unpause,
}

async fn ping(Extract(server): Extract<Arc<Server>>) -> Response {
    let health = stats::health(&server.shared.lock());
    let is_well = health == "OK";
    (if is_well { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }, health).into_response()
}

async fn info(Extract(server): Extract<Arc<Server>>) -> Response {
    let port = |address: SocketAddr| address.port();
    let host = server.tcp_address.ip().to_string();
    let body = json!({
        "version": VERSION,
        "broadcast_address": host,
        "hostname": host,
        "http_port": port(server.http_address),
        "tcp_port": port(server.tcp_address),
        "start_time": server.started,
        "max_heartbeat_interval": Duration::from_secs(60).as_nanos() as u64,
        "max_output_buffer_size": 64 * 1024,
        "max_output_buffer_timeout": Duration::from_secs(30).as_nanos() as u64,
        "max_deflate_level": 6,
    });
    axum::Json(body).into_response()
}

async fn show_stats(Extract(server): Extract<Arc<Server>>, Query(arguments): Arguments) -> Response {
    let filter = Filter {
        topic: arguments.get("topic").map(String::as_str),
        channel: arguments.get("channel").map(String::as_str),
        clients: arguments.get("include_clients").is_none_or(|include| include != "false" && include != "0"),
    };
    let state = server.shared.lock();
    if arguments.get("format").is_some_and(|format| format == "json") {
        let stats = stats::stats(&server, &state, &filter);
        drop(state);
        return axum::Json(stats).into_response();
    }
    stats::text(&state).into_response()
}

async fn publish(
    Extract(server): Extract<Arc<Server>>,
    Query(arguments): Arguments,
    request: Request,
) -> Reply {
    let body = read_body(request.into_body(), server.options.max_message_bytes, "MSG_TOO_BIG").await?;
    if body.is_empty() {
        return Err(bad("MSG_EMPTY"));
    }
    let topic = topic_name(&arguments)?;
    let now = server.shared.clock.now();
    let due = match arguments.get("defer") {
        None => Time::ZERO,
        Some(millis) => {
            let delay = millis.parse().map(Duration::from_millis).map_err(|_| bad("INVALID_DEFER"))?;
            if delay > server.options.max_requeue_delay {
                return Err(bad("INVALID_DEFER"));
            }
            now.plus(delay)
        }
    };
    let key = arguments.get("key").map(|key| record::key_hash(key.as_bytes()));
    store(&server, &topic, &[&body], &MessageFacts { due, key, ..MessageFacts::default() }).await
}

async fn multi_publish(
    Extract(server): Extract<Arc<Server>>,
    Query(arguments): Arguments,
    request: Request,
) -> Reply {
    let body = read_body(request.into_body(), server.options.max_body_bytes, "BODY_TOO_BIG").await?;
    let topic = topic_name(&arguments)?;
    let is_binary = arguments.get("binary").is_some_and(|binary| binary != "false" && binary != "0");
    let messages = if is_binary {
        split_binary(&body).ok_or_else(|| bad("BAD_BODY"))?
    } else {
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
    };
    if messages.is_empty() || messages.iter().any(|message| message.is_empty()) {
        return Err(bad("MSG_EMPTY"));
    }
    if messages.iter().any(|message| message.len() > server.options.max_message_bytes) {
        return Err(ApiError(StatusCode::PAYLOAD_TOO_LARGE, "MSG_TOO_BIG".to_owned()));
    }
    store(&server, &topic, &messages, &MessageFacts::default()).await
}

async fn store(server: &Server, topic: &Name, messages: &[&[u8]], facts: &MessageFacts) -> Reply {
    let now = server.shared.clock.now();
    let ticket = server.shared.lock().publish(topic, messages.iter().copied(), facts, now);
    let ticket = ticket.map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()))?;
    decided(server, ticket).await?;
    Ok("OK".into_response())
}

async fn topic_action(
    Extract(server): Extract<Arc<Server>>,
    Query(arguments): Arguments,
    action: Action,
) -> Reply {
    let name = topic_name(&arguments)?;
    let ticket = {
        let mut state = server.shared.lock();
        open(&state)?;
        let id = state.names.get(name.as_str()).copied();
        match (action, id) {
            (Action::Create, _) => {
                state.make_topic(&name);
            }
            (_, None) => return Err(missing("TOPIC_NOT_FOUND")),
            (Action::Delete, Some(_)) => {
                state.delete_topic(name.as_str());
            }
            (Action::Empty, Some(id)) => state.empty_topic(id),
            (Action::Pause | Action::Unpause, Some(id)) => state.pause_topic(id, action == Action::Pause),
        }
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(StatusCode::OK.into_response())
}

async fn channel_action(
    Extract(server): Extract<Arc<Server>>,
    Query(arguments): Arguments,
    action: Action,
) -> Reply {
    let (topic, channel) = (topic_name(&arguments)?, channel_name(&arguments)?);
    let ticket = {
        let mut state = server.shared.lock();
        open(&state)?;
        let topic = state.names.get(topic.as_str()).copied();
        let topic = topic.ok_or_else(|| missing("TOPIC_NOT_FOUND"))?;
        let is_there = match action {
            Action::Create => {
                state.make_channel(topic, &channel);
                true
            }
            Action::Delete => state.delete_channel(topic, &channel),
            Action::Empty => state.empty_channel(topic, &channel),
            Action::Pause | Action::Unpause => state.pause_channel(topic, &channel, action == Action::Pause),
        };
        if !is_there {
            return Err(missing("CHANNEL_NOT_FOUND"));
        }
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(StatusCode::OK.into_response())
}

async fn peek(Extract(server): Extract<Arc<Server>>, Query(arguments): Arguments) -> Reply {
    let (topic, channel) = (topic_name(&arguments)?, channel_name(&arguments)?);
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
            let topic = state.names.get(topic.as_str()).copied();
            let topic = topic.ok_or_else(|| missing("TOPIC_NOT_FOUND"))?;
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
    Ok(axum::Json(json!({"messages": messages, "more": more})).into_response())
}

async fn finish(Extract(server): Extract<Arc<Server>>, Query(arguments): Arguments) -> Reply {
    let (topic, channel) = (topic_name(&arguments)?, channel_name(&arguments)?);
    let id = arguments.get("id").ok_or_else(|| bad("MISSING_ARG_ID"))?;
    let id = MessageId::from_slice(id.as_bytes()).and_then(MessageId::to_number);
    let sequence = id.ok_or_else(|| bad("INVALID_ID"))?;
    let ticket = {
        let mut state = server.shared.lock();
        open(&state)?;
        let topic = state.names.get(topic.as_str()).copied();
        let topic = topic.ok_or_else(|| missing("TOPIC_NOT_FOUND"))?;
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
    Ok(StatusCode::OK.into_response())
}

/// The commit that brings what was just done; none when nothing is to be written.
fn ticket_of(state: &State) -> Option<Ticket> {
    (state.is_awaited() || state.is_dirty()).then(|| state.ticket())
}

async fn decided(server: &Server, ticket: impl Into<Option<Ticket>>) -> Result<(), ApiError> {
    let Some(ticket) = ticket.into() else { return Ok(()) };
    server.shared.kick();
    server
        .shared
        .decided(ticket)
        .await
        .map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()))
}

fn open(state: &State) -> Result<(), ApiError> {
    state.check_open().map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()))
}

fn topic_name(arguments: &HashMap<String, String>) -> Result<Name, ApiError> {
    let name = arguments.get("topic").ok_or_else(|| bad("MISSING_ARG_TOPIC"))?;
    Name::new(name).map_err(|_| bad("INVALID_TOPIC"))
}

fn channel_name(arguments: &HashMap<String, String>) -> Result<Name, ApiError> {
    let name = arguments.get("channel").ok_or_else(|| bad("MISSING_ARG_CHANNEL"))?;
    Name::new(name).map_err(|_| bad("INVALID_CHANNEL"))
}

fn bad(message: &str) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, message.to_owned())
}

fn missing(message: &str) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, message.to_owned())
}

async fn read_body(body: Body, limit: usize, error: &str) -> Result<bytes::Bytes, ApiError> {
    let too_large = |_| ApiError(StatusCode::PAYLOAD_TOO_LARGE, error.to_owned());
    to_bytes(body, limit).await.map_err(too_large)
}

/// The messages of a binary `mpub`: a count, then each with its length, all big-endian.
fn split_binary(body: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = body.split_first_chunk::<4>()?;
    let mut messages = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (message, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        messages.push(message);
        rest = after;
    }
    rest.is_empty().then_some(messages)
}
