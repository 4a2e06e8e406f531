//! The internal listener: takes calls from the app's other processes, each with the secret.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
    vec,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use bis_config::Secret;
use bis_core::codes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{
    entry::{EndpointEntry, Owned},
    error,
    router::fallbacks,
    wire::{CALL_PREFIX, CALLER, IDENTITY, MAX_CALL_BYTES, SECRET, deadline},
};
use crate::{
    error::{Error, Result},
    instance::{self, AnyIdentity, Scope, Users, function_path},
    time,
};

/// The result of a call from another process.
pub type RemoteFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

/// A function behind a call from another process.
pub type RemoteHandler = fn(Arguments) -> RemoteFuture;

/// An argument of a call that is not what the function takes: the mistake is the caller's process, not its client's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadArgument(String);

/// The arguments of a call, in order.
#[derive(Debug)]
pub struct Arguments {
    endpoint: String,
    values: vec::IntoIter<Box<RawValue>>,
}

impl Arguments {
    /// The next argument, which the function calls `name`.
    ///
    /// # Errors
    /// When there is none: the caller was built from other source.
    pub fn take(&mut self, name: &'static str) -> Result<IncomingArgument> {
        let endpoint = self.endpoint.clone();
        match self.values.next() {
            Some(value) => Ok(IncomingArgument { endpoint, name, value }),
            None => Err(Error::permanent(BadArgument(format!(
                "the call of `{endpoint}` lacks the argument `{name}`: the processes were built from different source"
            )))),
        }
    }
}

/// One argument of a call.
#[derive(Debug)]
pub struct IncomingArgument {
    endpoint: String,
    name: &'static str,
    value: Box<RawValue>,
}

impl IncomingArgument {
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T> {
        serde_json::from_str(self.value.get()).map_err(|error| {
            let (endpoint, name) = (self.endpoint, self.name);
            Error::permanent(BadArgument(format!(
                "the argument `{name}` of the call of `{endpoint}` is not valid: {error}"
            )))
        })
    }

    pub(super) fn cannot_travel(self) -> Error {
        argument_cannot_travel(&self.endpoint, self.name)
    }
}

pub(super) fn argument_cannot_travel(endpoint: &str, name: &str) -> Error {
    Error::permanent(format!(
        "endpoint `{endpoint}` cannot be called from another process: argument `{name}` is not a `Json`, `Path`, `Query` or `Auth` of a type with both serde traits [{}]",
        codes::CALL_CANNOT_TRAVEL
    ))
}

pub(super) fn result_cannot_travel() -> Error {
    Error::permanent(format!(
        "the endpoint cannot be called from another process: let it return `bis::Result` of `()` or of `Json` of a type with both serde traits [{}]",
        codes::CALL_CANNOT_TRAVEL
    ))
}

/// For a function whose result has no name, since it holds an `impl Trait`.
pub fn unnamed_result() -> RemoteFuture {
    Box::pin(async { Err(result_cannot_travel()) })
}

/// What the listener knows.
struct Calls {
    endpoints: HashMap<String, Owned<EndpointEntry>>,
    secret: Secret,
}

/// The private endpoints' own routes, and calls of every endpoint by its function.
pub(super) fn router(private: Router, endpoints: &[Owned<EndpointEntry>], secret: &Secret) -> Router {
    let by_function = endpoints
        .iter()
        .map(|(entry, service)| (function_path(entry.module, entry.function), (*entry, *service)))
        .collect();
    let calls = Arc::new(Calls { endpoints: by_function, secret: secret.clone() });
    let call = post(call).with_state(calls.clone());
    let router = private.route(&format!("{CALL_PREFIX}{{function}}"), call);
    fallbacks(router).layer(middleware::from_fn_with_state(calls, check_secret))
}

async fn check_secret(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(SECRET).map_or(&b""[..], |value| value.as_bytes());
    if is_same(given, calls.secret.reveal().as_bytes()) {
        return next.run(request).await;
    }
    tracing::warn!(url.path = request.uri().path(), "a call without the internal secret was refused");
    let message = "the internal secret is missing or wrong; set the same `internal.secret` on both sides";
    error::refuse_call(StatusCode::UNAUTHORIZED, message)
}

/// Whether two texts are the same, in a time that does not reveal where they differ.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let length = u8::from(given.len() != secret.len());
    let difference = secret.iter().enumerate().fold(length, |difference, (index, byte)| {
        difference | (byte ^ given.get(index).copied().unwrap_or(0))
    });
    !secret.is_empty() && std::hint::black_box(difference) == 0
}

async fn call(State(calls): State<Arc<Calls>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let function = parts.uri.path().strip_prefix(CALL_PREFIX).unwrap_or_default();
    let Some((entry, service)) = calls.endpoints.get(function).copied() else {
        let message = format!(
            "this process hosts no endpoint `{function}`: check `internal.services`, and that both processes are of one build"
        );
        return error::refuse_call(StatusCode::NOT_FOUND, message);
    };
    let identity = match identity(&parts.headers) {
        Ok(identity) => identity,
        Err(error) => return error::refuse_call(StatusCode::BAD_REQUEST, format!("{error:#}")),
    };
    let remaining = deadline(&parts.headers);
    Scope::update(|scope| {
        scope.identity = identity;
        scope.service = Some(service.name);
        scope.endpoint = Some(entry.function);
        scope.route = Some(entry.path);
        scope.deadline = remaining.and_then(|remaining| time::now().checked_add(remaining));
    });
    let caller = parts.headers.get(CALLER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    tracing::debug!(caller, function, "called by another process");
    within(remaining, run(entry, function.to_owned(), body)).await
}

/// Who asked for what the caller does. Only another process of the app says so, which knows the secret.
fn identity(headers: &HeaderMap) -> Result<Option<AnyIdentity>> {
    let Some(text) = headers.get(IDENTITY) else { return Ok(None) };
    let users = *instance::current()?.extension::<Users>();
    Ok(Some(users.read(text.to_str()?)?))
}

async fn within(remaining: Option<Duration>, answer: impl Future<Output = Response>) -> Response {
    let Some(remaining) = remaining else { return answer.await };
    time::timeout(remaining, answer)
        .await
        .unwrap_or_else(|_| error::answer(StatusCode::GATEWAY_TIMEOUT, "the caller's deadline is over"))
}

async fn run(entry: &'static EndpointEntry, endpoint: String, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, MAX_CALL_BYTES).await else {
        let message =
            format!("the arguments are larger than {MAX_CALL_BYTES} bytes, or were not sent to their end");
        return error::refuse_call(StatusCode::PAYLOAD_TOO_LARGE, message);
    };
    let values: Vec<Box<RawValue>> = match serde_json::from_slice(&body) {
        Ok(values) => values,
        Err(error) => {
            let message = format!("the arguments of `{endpoint}` are not a JSON array: {error}");
            return error::refuse_call(StatusCode::BAD_REQUEST, message);
        }
    };
    match (entry.remote)(Arguments { endpoint, values: values.into_iter() }).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => match error.find::<BadArgument>() {
            Some(error) => error::refuse_call(StatusCode::BAD_REQUEST, error.0.clone()),
            None => error.into_internal_response(),
        },
    }
}

/// How long until `deadline`, by the app's clock.
pub(super) fn until(deadline: std::time::SystemTime) -> Duration {
    let since = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since(deadline).saturating_sub(since(time::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_secret_is_the_secret() {
        assert!(is_same(b"s3cret", b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3cret", b"xxxxxx"] {
            assert!(!is_same(wrong, b"s3cret"), "{wrong:?}");
        }
        assert!(!is_same(b"", b""), "no secret lets nobody in");
    }
}
