//! What surrounds each request, outside of every layer: its span and scope, the trace that it continues, and the end of a panic.

use std::pin::pin;

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use bis_core::TraceContext;
use tracing::{Instrument, Span, field::Empty};

pub(super) use super::metrics::known;
use super::{error, layers::RequestService, metrics::Metrics, stream};
use crate::{
    instance::{self, Scope},
    panics::Caught,
};

/// The largest body that an extractor reads: 1 MiB.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What answers a request, once its path has led there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) service: &'static str,
    /// The function of an endpoint or a mount.
    pub(super) function: &'static str,
    /// The path as declared.
    pub(super) route: &'static str,
}

/// The span of a request, for code that finds out more about it. Only when somebody listens to the span.
#[derive(Debug, Clone)]
struct RequestSpan(Span);

/// The scope of a request, in the trace that its headers name.
pub(super) fn scope(headers: &HeaderMap) -> Scope {
    Scope::continuing(trace_context(headers).as_ref())
}

/// Notes in its scope and span what answers the request. A layer may have taken the request to a task that has no scope: it gets
/// one then, in which it has to be answered.
pub(super) fn found(request: &Request, place: Place) -> Option<Scope> {
    let note = |scope: &mut Scope| {
        scope.service = Some(place.service);
        scope.endpoint = Some(place.function);
        scope.route = Some(place.route);
    };
    if let Some(RequestSpan(span)) = request.extensions().get() {
        span.record("service", place.service);
        span.record("http.route", place.route);
    }
    if Scope::update(note) {
        return None;
    }
    let mut scope = scope(request.headers());
    note(&mut scope);
    Some(scope)
}

fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Some(TraceContext { traceparent: text("traceparent")?.into(), tracestate: text("tracestate") })
}

/// The span of a request.
///
/// Its fields are named as OpenTelemetry's semantic conventions for HTTP servers name them
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
fn span(scope: &Scope, method: &Method, uri: &Uri) -> Span {
    tracing::debug_span!(
        "request",
        http.request.method = method.as_str(),
        http.route = Empty,
        url.path = uri.path(),
        http.response.status_code = Empty,
        trace_id = format_args!("{:032x}", scope.span.trace),
        service = Empty,
    )
}

/// Answers one request within its span and scope, before anything else of the app sees it. A panic, of a layer too, becomes
/// status 500 and a line in the log.
#[cfg(feature = "testing")]
pub(super) async fn run(app: &RequestService, request: Request) -> Response {
    let scope = scope(request.headers());
    let span = span(&scope, request.method(), request.uri());
    let method = known(request.method());
    scope.run(measured(method, in_scope(app, request, span))).await
}

/// As [`run`], where the request's [`scope`] is that of the running task already.
pub(super) async fn run_in_scope(app: &RequestService, request: Request) -> Response {
    let span = Scope::with(|scope| Some(span(scope?, request.method(), request.uri())));
    in_scope(app, request, span.unwrap_or_else(Span::none)).await
}

async fn in_scope(app: &RequestService, mut request: Request, span: Span) -> Response {
    if !span.is_disabled() {
        request.extensions_mut().insert(RequestSpan(span.clone()));
    }
    let mut answer = pin!(unless_it_panics(app, request).instrument(span));
    let response = answer.as_mut().await;
    answer.span().record("http.response.status_code", response.status().as_u16());
    response
}

/// Counts the answer and how long it took, whoever gave it.
pub(super) async fn measured(method: &'static str, answer: impl Future<Output = Response>) -> Response {
    // Outside a running app there is nothing to count for.
    let Ok(instance) = instance::current() else { return answer.await };
    let began = instance.clock.elapsed();
    let response = answer.await;
    let took = instance.clock.elapsed().saturating_sub(began);
    instance.extension::<Metrics>().answered(method, &response, took);
    response
}

async fn unless_it_panics(app: &RequestService, request: Request) -> Response {
    // The call itself may panic, too.
    let answer = pin!(async {
        match app.answer(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    });
    let response = Caught::new("the endpoint", answer).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "the endpoint panicked");
        error::answer(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    });
    stream::in_scope(response)
}
