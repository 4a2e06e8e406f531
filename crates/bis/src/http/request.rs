//! What surrounds each request: its span and scope, the trace that it continues, and the end of a panic.

use std::{future::Future, pin::pin};

use axum::{
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use bis_core::TraceContext;
use tracing::{Instrument, Span, field::Empty};

use super::error;
use crate::{instance::Scope, panics::Caught};

/// The largest body that an extractor reads: 1 MiB.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The scope of a request to the function `endpoint` at `route`, in the trace that its headers name.
pub(crate) fn scope(
    headers: &HeaderMap,
    service: Option<&'static str>,
    endpoint: &'static str,
    route: &'static str,
) -> Scope {
    let context = trace_context(headers);
    let mut scope = Scope::continuing(context.as_ref());
    scope.service = service;
    scope.endpoint = Some(endpoint);
    scope.route = Some(route);
    scope
}

fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Some(TraceContext { traceparent: text("traceparent")?.into(), tracestate: text("tracestate") })
}

/// The span of a request.
///
/// Its fields are named as OpenTelemetry's semantic conventions for HTTP servers name them
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
pub(crate) fn span(scope: &Scope, method: &Method, uri: &Uri) -> Span {
    tracing::debug_span!(
        "request",
        http.request.method = method.as_str(),
        http.route = scope.route,
        url.path = uri.path(),
        http.response.status_code = Empty,
        trace_id = format_args!("{:032x}", scope.span.trace),
        service = scope.service,
    )
}

/// Answers one request with `handle`, within its span and scope. A panic becomes status 500 and a line in the log.
pub(crate) async fn run(scope: Scope, span: Span, handle: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(scope.run(unless_it_panics(handle)).instrument(span));
    let response = answer.as_mut().await;
    answer.span().record("http.response.status_code", response.status().as_u16());
    response
}

async fn unless_it_panics(handle: impl Future<Output = Response>) -> Response {
    let handle = pin!(handle);
    Caught::new("the endpoint", handle).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "the endpoint panicked");
        error::answer(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    })
}
