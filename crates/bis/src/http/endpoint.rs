//! What the expansion of `#[api]` calls to serve a request: extractors one by one, then the function, then its answer.
//! A refusal of an extractor becomes problem details here.

use std::{future::Future, sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, Request},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use bis_core::format_duration;
use http_body::Body as _;
use http_body_util::Limited;

use super::{
    MAX_BODY_BYTES,
    auth::{self, Guard},
    body::DeclaredTooLarge,
    bounds::{Answer, Extractor, LastExtractor},
    error,
    layers::RequestService,
    refusal::{refused, too_large},
};
use crate::time;

/// What an endpoint knows about itself when it is served.
#[derive(Debug, Clone, Copy)]
pub struct EndpointContext {
    /// The service that it belongs to.
    pub service: &'static str,
    /// The name of its function.
    pub function: &'static str,
    /// The HTTP method, upper-case.
    pub method: &'static str,
    /// The path as declared.
    pub path: &'static str,
    /// Whether it wants to know who asks.
    pub guard: Guard,
    /// The largest body that it takes, in bytes; `None` for 1 MiB where an extractor reads the body.
    pub body_limit: Option<u64>,
    /// How long it may take until its answer begins.
    pub timeout: Option<Duration>,
}

impl EndpointContext {
    fn max_body_bytes(self) -> usize {
        self.body_limit.map_or(MAX_BODY_BYTES, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// Serves a function within its limits.
pub fn route<F, R>(context: EndpointContext, handle: F) -> RequestService
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    RequestService::from_fn(move |request| {
        let answer = auth::admit(context.guard, request, handle.clone());
        match context.timeout {
            None => Box::pin(async move { Ok(answer.await) }),
            Some(limit) => Box::pin(async move { Ok(within(limit, answer).await) }),
        }
    })
}

/// The answer, or after `limit` the one that a listener gives when a request takes too long.
async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    time::timeout(limit, answer).await.unwrap_or_else(|_| {
        tracing::error!(
            limit = format_duration(limit),
            "the endpoint took longer than its timeout and was cut off"
        );
        error::late(StatusCode::SERVICE_UNAVAILABLE)
    })
}

/// Takes a request apart.
pub fn split(request: Request) -> (Parts, Body) {
    request.into_parts()
}

/// Runs an extractor that needs no body.
///
/// # Errors
/// The answer, when it refuses.
pub async fn from_parts<T: Extractor>(parts: &mut Parts) -> Result<T, Response> {
    match T::from_request_parts(parts, &()).await {
        Ok(extracted) => Ok(extracted),
        Err(refusal) => Err(refused(refusal.into_response(), MAX_BODY_BYTES).await),
    }
}

/// Runs the last extractor, which may take the body. A limit that the endpoint states holds for whatever reads the body, the
/// default one for the extractors that keep all of it in memory.
///
/// # Errors
/// The answer, when it refuses.
pub async fn from_request<T: LastExtractor<M>, M>(
    context: EndpointContext,
    body: Body,
    parts: Parts,
) -> Result<T, Response> {
    let limit = context.max_body_bytes();
    let has_body = !body.is_end_stream();
    let is_too_large = body.size_hint().lower() > limit as u64;
    let (body, extracting) = match (is_too_large, context.body_limit) {
        (true, Some(_)) => return Err(too_large(limit)),
        (true, None) => {
            let (body, extracting) = DeclaredTooLarge::wrap(body);
            (body, Some(extracting))
        }
        (false, Some(_)) if has_body => (Body::new(Limited::new(body, limit)), None),
        (false, _) => (body, None),
    };
    let mut request = Request::from_parts(parts, body);
    if has_body {
        DefaultBodyLimit::max(limit).apply(&mut request);
    }
    let extracted = T::from_request(request, &()).await;
    if let Some(extracting) = extracting {
        extracting.store(false, Ordering::Relaxed);
    }
    match extracted {
        Ok(extracted) => Ok(extracted),
        Err(refusal) => Err(refused(refusal.into_response(), limit).await),
    }
}

/// What a function returns, as an answer.
pub fn respond<T: Answer>(result: T) -> Response {
    result.into_response()
}
