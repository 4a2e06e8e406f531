//! A call of an endpoint whose service lives in another process of the app.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
};
use bis_core::codes;
use bytes::Bytes;
use serde::Serialize;

use super::{
    client::{Client, ClientError},
    internal::{argument_cannot_travel, result_cannot_travel, until},
    problem::{Internal, Problem},
    wire::{CALL_PREFIX, CALLER, DEADLINE_MS, DEFAULT_DEADLINE, IDENTITY, SECRET},
};
use crate::{
    error::{Error, Result},
    instance::{self, Instance, Scope, function_path, service_of},
    json, time,
};

/// Why a call got no answer from its function. The caller's log has the text; its client learns the status.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody is there.
    #[error("service `{service}` at `{base}` did not answer [{}]", codes::CALL_AWAY)]
    Away { service: &'static str, base: String, source: ClientError },
    /// It takes too long.
    #[error("the call of `{endpoint}` was not answered within {limit_ms} ms [{}]", codes::CALL_LATE)]
    Late { endpoint: String, limit_ms: u128 },
    /// Another process is there, and does not take the call.
    #[error("service `{service}` at `{base}` refused the call: {message} [{}]", codes::CALL_REFUSED)]
    Refused { service: &'static str, base: String, message: String },
}

impl CallError {
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Away { source: ClientError::Address(_) | ClientError::Answer(_), .. }
            | Self::Refused { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Away { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// A call that is about to go to another process.
#[derive(Debug)]
pub struct Call {
    instance: Arc<Instance>,
    service: &'static str,
    endpoint: String,
}

/// The call, when the service of `module` is not among those that this process hosts. Without a running app every
/// function is an ordinary one.
pub fn call_elsewhere(module: &str, function: &str) -> Option<Call> {
    let instance = instance::current().ok()?;
    let hosted = instance.config.app.services.as_ref()?;
    let service = service_of(module)?.name;
    if hosted.iter().any(|name| name.as_str() == service) {
        return None;
    }
    Some(Call { instance, service, endpoint: function_path(module, function) })
}

/// Arguments on their way to another process: a JSON array.
#[derive(Debug)]
pub struct OutgoingArguments<'a> {
    endpoint: &'a str,
    json: Vec<u8>,
}

impl OutgoingArguments<'_> {
    /// The place of the next argument, which the function calls `name`.
    pub fn next<'b>(&'b mut self, name: &'static str) -> OutgoingArgument<'b> {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        OutgoingArgument { endpoint: self.endpoint, name, json: &mut self.json }
    }
}

/// One argument on its way to another process.
#[derive(Debug)]
pub struct OutgoingArgument<'a> {
    endpoint: &'a str,
    name: &'static str,
    json: &'a mut Vec<u8>,
}

impl OutgoingArgument<'_> {
    pub(super) fn write<T: Serialize>(self, value: &T) -> Result<()> {
        json::write(self.json, value).map_err(|error| {
            let what = format!("write the argument `{}` of the call of `{}`", self.name, self.endpoint);
            Error::permanent(error).context(what)
        })
    }

    pub(super) fn cannot_travel(self) -> Error {
        argument_cannot_travel(self.endpoint, self.name)
    }
}

impl Call {
    /// The arguments as JSON, which `fill` writes.
    ///
    /// # Errors
    /// When one cannot travel.
    pub fn encode(&self, fill: impl FnOnce(&mut OutgoingArguments<'_>) -> Result<()>) -> Result<Vec<u8>> {
        let mut arguments = OutgoingArguments { endpoint: &self.endpoint, json: vec![b'['] };
        fill(&mut arguments)?;
        arguments.json.push(b']');
        Ok(arguments.json)
    }

    /// Sends the call and waits for its result, at most until the caller's own deadline, or 30 s. The other process is told
    /// the deadline, and stops at it too.
    ///
    /// # Errors
    /// The callee's own error with its status and text, or that it cannot be reached.
    pub async fn send(&self, arguments: Result<Vec<u8>>) -> Result<Bytes> {
        let arguments = arguments?;
        let Some(base) = self.base() else {
            return Err(Error::msg(format!(
                "service `{0}` is not in this process: set its address in `internal.services.{0}` of the configuration [{1}]",
                self.service,
                codes::NO_ADDRESS
            )));
        };
        let scope = Scope::current();
        let deadline = scope.as_ref().and_then(|scope| scope.deadline);
        let limit = deadline.map_or(DEFAULT_DEADLINE, until);
        let request = self.request(base, scope.as_ref(), limit, arguments)?;
        let service = self.service;
        match time::timeout(limit, self.instance.extension::<Client>().send(base, request)).await {
            Ok(Ok((status, body))) if status.is_success() => Ok(body),
            Ok(Ok((status, body))) => Err(self.failed(base, status, &body)),
            Ok(Err(source)) => Err(CallError::Away { service, base: base.to_owned(), source }.into()),
            Err(_) => {
                let (endpoint, limit_ms) = (self.endpoint.clone(), limit.as_millis());
                Err(CallError::Late { endpoint, limit_ms }.into())
            }
        }
    }

    fn base(&self) -> Option<&str> {
        let services = &self.instance.config.internal.services;
        services.iter().find(|(name, _)| name.as_str() == self.service).map(|(_, base)| base.as_str())
    }

    fn request(
        &self,
        base: &str,
        scope: Option<&Scope>,
        limit: std::time::Duration,
        arguments: Vec<u8>,
    ) -> Result<Request<Body>> {
        let secret = self.instance.config.internal.known_secret().map_or("", |secret| secret.reveal());
        let mut secret = HeaderValue::from_str(secret).map_err(|_| {
            Error::permanent(
                "`internal.secret` holds what an HTTP header cannot carry; use letters and digits",
            )
        })?;
        secret.set_sensitive(true);
        let host = base.trim_start_matches("http://").trim_end_matches('/');
        let mut request = Request::post(format!("{CALL_PREFIX}{}", self.endpoint))
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(SECRET, secret)
            .header(DEADLINE_MS, u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        if let Some(scope) = scope {
            let context = scope.trace_context();
            request = request.header("traceparent", &*context.traceparent);
            if let Some(state) = context.tracestate {
                request = request.header("tracestate", state);
            }
            if let Some(service) = scope.service {
                request = request.header(CALLER, service);
            }
            if let Some(identity) = &scope.identity {
                let mut identity = HeaderValue::try_from(identity.to_text().map_err(Error::permanent)?)?;
                identity.set_sensitive(true);
                request = request.header(IDENTITY, identity);
            }
        }
        Ok(request.body(Body::from(arguments))?)
    }

    /// The error that the other process answered with.
    fn failed(&self, base: &str, status: StatusCode, body: &[u8]) -> Error {
        let refused =
            |message| CallError::Refused { service: self.service, base: base.to_owned(), message }.into();
        match Problem::read(body) {
            Some(Problem { internal: Some(Internal { refused: true, .. }), detail, .. }) => {
                refused(detail.unwrap_or_default().into_owned())
            }
            Some(problem) => Error::of_answer(status, problem),
            None => {
                refused(format!("it answered with status {status}, and not as a process of this app does"))
            }
        }
    }

    /// For a function whose result has no name, since it holds an `impl Trait`.
    pub fn unnamed_result(&self) -> Error {
        result_cannot_travel().context(format!("call `{}`", self.endpoint))
    }

    /// For a function that cannot even return an error. A handler that called it is retried.
    ///
    /// # Panics
    /// Always.
    pub fn panic_without_result(&self) -> ! {
        panic!("call `{}`: {}", self.endpoint, result_cannot_travel())
    }
}
