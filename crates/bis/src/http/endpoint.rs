//! What the expansion of `#[api]` calls to serve a request: extractors one by one, then the function, then its answer.
//! A refusal of an extractor becomes problem details here.

use std::{future::Future, sync::atomic::Ordering};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter},
};
use http_body::Body as _;

use super::{
    MAX_BODY_BYTES,
    body::DeclaredTooLarge,
    bounds::{Answer, Extractor, LastExtractor},
    error, request,
};

/// The longest refusal of an extractor that is taken over as text.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// What an endpoint knows of itself when it is served.
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
}

/// Serves a function at its method.
///
/// # Panics
/// When `#[api]` does not take the method.
pub fn route<F, R>(context: EndpointContext, handle: F) -> MethodRouter
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let method = axum::http::Method::from_bytes(context.method.as_bytes()).ok();
    let filter = method.and_then(|method| MethodFilter::try_from(method).ok());
    let filter = filter.expect("the grammar of `#[api]` takes no other method");
    axum::routing::on(filter, move |request: Request| {
        let scope = request::scope(request.headers(), Some(context.service), context.function, context.path);
        let span = request::span(&scope, request.method(), request.uri());
        request::run(scope, span, handle(request))
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
        Err(refusal) => Err(refused(refusal.into_response()).await),
    }
}

/// Runs the last extractor, which may take the body.
///
/// # Errors
/// The answer, when it refuses.
pub async fn from_request<T: LastExtractor<M>, M>(body: Body, parts: Parts) -> Result<T, Response> {
    let has_body = !body.is_end_stream();
    let is_too_large = body.size_hint().lower() > MAX_BODY_BYTES as u64;
    let (body, extracting) = match is_too_large {
        true => {
            let (body, extracting) = DeclaredTooLarge::wrap(body);
            (body, Some(extracting))
        }
        false => (body, None),
    };
    let mut request = Request::from_parts(parts, body);
    if has_body {
        DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
    }
    let extracted = T::from_request(request, &()).await;
    if let Some(extracting) = extracting {
        extracting.store(false, Ordering::Relaxed);
    }
    match extracted {
        Ok(extracted) => Ok(extracted),
        Err(refusal) => Err(refused(refusal.into_response()).await),
    }
}

/// What a function returns, as an answer.
pub fn respond<T: Answer>(result: T) -> Response {
    result.into_response()
}

/// An extractor's refusal as problem details, when it is a plain text; else as it is. A refusal that is not the client's fault says
/// nothing to the client: its text is for the log.
async fn refused(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|media_type| media_type.starts_with("text/plain")) {
        if status.is_server_error() {
            tracing::error!(%status, "an extractor does not work");
        }
        return response;
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
        return error::answer(status, message);
    }
    let body = axum::body::to_bytes(response.into_body(), MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    if status.is_server_error() {
        tracing::error!(error = %text, "an extractor does not work");
        return error::answer(status, error::message(status));
    }
    error::answer(status, text.into_owned())
}
