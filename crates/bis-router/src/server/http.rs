//! nsqd's HTTP API: its routes, words and shapes, and what Bis adds beside them. What a request does is in the
//! modules below.

mod arguments;
mod config;
mod guard;
mod messages;
mod publish;
mod reports;
mod topology;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bis_journal::{State, Ticket};
use bis_nsq::Name;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::Serialize;
use serde_json::json;

use self::arguments::Arguments;
use self::guard::Guard;
use self::topology::Action;
use super::Server;
use crate::options::TlsRequired;

type Reply = Result<Response, ApiError>;

/// An error in nsqd's shape: a status and a word.
#[derive(Debug, PartialEq, Eq)]
struct ApiError(StatusCode, String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_reply(&json!({"message": self.1}));
        *response.status_mut() = self.0;
        response
    }
}

/// The API's routes for clients without TLS: none where TLS is required.
pub(super) fn plain_routes(server: Arc<Server>) -> Router {
    if server.options.tls.required() != TlsRequired::Yes {
        let address = server.http_address;
        return routes(server, address);
    }
    let port = server.https_address.map_or(0, |address| address.port());
    Router::new().fallback(move || async move {
        // Word for word, with nsqd's spaces.
        let mut response = versioned(format!(r#"{{"message": "TLS_REQUIRED", "https_port": {port}}}"#));
        *response.status_mut() = StatusCode::FORBIDDEN;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    })
}

/// The API's routes, for a listener at this address.
pub(super) fn routes(server: Arc<Server>, listener: SocketAddr) -> Router {
    let guard = Guard::new(&server, listener);
    let channel = |action| post(move |server, arguments| topology::channel(server, arguments, action));
    let topic = |action| post(move |server, arguments| topology::topic(server, arguments, action));
    Router::new()
        .route("/ping", get(reports::ping))
        .route("/info", get(reports::info))
        .route("/stats", get(reports::stats))
        .route("/metrics", get(reports::metrics))
        .route("/pub", post(publish::one))
        .route("/mpub", post(publish::many))
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
        .route("/channel/peek", get(messages::peek))
        .route("/channel/finish", post(messages::finish))
        .route("/channel/replay", post(messages::replay))
        .route("/config/{option}", get(config::show).put(config::change))
        .fallback(|| async { ApiError(StatusCode::NOT_FOUND, "NOT_FOUND".to_owned()) })
        .method_not_allowed_fallback(|| async {
            ApiError(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED".to_owned())
        })
        .layer(middleware::from_fn(refuse_head))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(log))
        .with_state(server)
}

/// As on nsqd, a request for the head alone is refused where there is something.
async fn refuse_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD && request.extensions().get::<MatchedPath>().is_some() {
        return ApiError(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED".to_owned()).into_response();
    }
    next.run(request).await
}

/// Notes what was asked: changes for the operator, the rest for people who look for a fault. Publishes are not
/// noted, as on nsqd.
async fn log(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let request_is_safe = method.is_safe();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    // As text, which logs quote: it may have control characters.
    let (method, path) = (method.as_str(), uri.to_string());
    match uri.path() {
        "/pub" | "/mpub" => {}
        _ if request_is_safe => tracing::debug!(status, method, path, "an HTTP request"),
        _ => tracing::info!(status, method, path, "an HTTP request"),
    }
    response
}

/// A value as JSON, in nsqd's shape.
fn json_reply(value: &impl Serialize) -> Response {
    let text = match serde_json::to_string(value) {
        Ok(text) => text,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    let mut response = versioned(text);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Text, in nsqd's shape; empty where the only answer is that it is done.
fn versioned(text: impl Into<String>) -> Response {
    let text: String = text.into();
    let is_empty = text.is_empty();
    let mut response = text.into_response();
    if is_empty {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response.headers_mut().insert("x-nsq-content-type", HeaderValue::from_static("nsq; version=1.0"));
    response
}

/// The commit that brings what was just done, or what another did and is yet to be stored.
fn ticket_of(state: &State) -> Ticket {
    if state.is_dirty() { state.ticket() } else { state.last_awaited() }
}

/// Waits for the commit.
async fn decided(server: &Server, ticket: Ticket) -> Result<(), ApiError> {
    server.journal.kick();
    let outcome = server.journal.decided(ticket).await;
    outcome.map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()))
}

fn open(state: &State) -> Result<(), ApiError> {
    state.check_open().map_err(|reason| ApiError(StatusCode::SERVICE_UNAVAILABLE, refusal(&reason)))
}

/// nsqd's word for a router that stops; the reason itself for one that failed.
fn refusal(reason: &str) -> String {
    if reason == "exiting" { "EXITING".to_owned() } else { reason.to_owned() }
}

/// The topic and channel that a request is about, with nsqd's words for what is wrong with them.
fn topic_and_channel(arguments: &Arguments) -> Result<(Name, Name), ApiError> {
    let name = |argument: &str, missing: &str, invalid: &str| {
        let text = arguments.get(argument).ok_or_else(|| bad(missing))?;
        Name::new(text).map_err(|_| bad(invalid))
    };
    let topic = name("topic", "MISSING_ARG_TOPIC", "INVALID_ARG_TOPIC")?;
    Ok((topic, name("channel", "MISSING_ARG_CHANNEL", "INVALID_ARG_CHANNEL")?))
}

/// The number of a topic that must be there.
fn existing(state: &State, topic: &str) -> Result<u32, ApiError> {
    state.number_of(topic).ok_or_else(|| missing("TOPIC_NOT_FOUND"))
}

fn bad(message: &str) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, message.to_owned())
}

fn missing(message: &str) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, message.to_owned())
}

/// A request's body, in time and not too large.
async fn read(server: &Server, body: Body, limit: usize, error: &str) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(server.options.http.body, collect(body, limit)).await;
    let late = |_| ApiError(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT".to_owned());
    read.map_err(late)?.ok_or_else(|| too_large(error))
}

/// All of a body in one piece, and never in memory twice; `None` when it is too large or broken off.
async fn collect(mut body: Body, limit: usize) -> Option<Bytes> {
    let expected = usize::try_from(body.size_hint().lower()).ok().filter(|expected| *expected <= limit)?;
    let mut bytes = BytesMut::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes.freeze())
}

fn too_large(message: &str) -> ApiError {
    ApiError(StatusCode::PAYLOAD_TOO_LARGE, message.to_owned())
}
