//! Answers without an end of their own, such as server-sent events: they run in their request's scope, and they end in order
//! when the process stops. It never looks into what they carry.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponseParts, Response, ResponseParts},
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::Span;

use crate::{instance::Scope, panics};

/// Part of an answer whose body has no end of its own: when the process stops, or hands its work over to another one, the body
/// ends as if its stream had, and what it holds is dropped. Without it, a body may go on until `app.stop_within` (30 s) is over,
/// and is cut off then.
///
/// Server-sent events have it by themselves, by their content type `text/event-stream`. Any other body needs it:
///
/// ```
/// # use bis::prelude::*;
/// use axum::{body::Body, response::IntoResponse};
///
/// # struct Lines;
/// # impl futures_core::Stream for Lines {
/// #     type Item = std::io::Result<String>;
/// #     fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<std::io::Result<String>>> {
/// #         std::task::Poll::Ready(None)
/// #     }
/// # }
/// # bis::service!("logs");
/// #[api(GET, "/logs", public)]
/// async fn logs() -> impl IntoResponse {
///     (bis::http::EndsAtStop, Body::from_stream(Lines))
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndsAtStop;

impl IntoResponseParts for EndsAtStop {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// Whether the answer goes on until somebody ends it.
pub(super) fn is_endless(response: &Response) -> bool {
    if response.body().size_hint().exact().is_some() {
        return false;
    }
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_events = media_type
        .and_then(|text| text.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"));
    is_events || response.extensions().get::<EndsAtStop>().is_some()
}

/// The answer, whose stream, if it is one, goes on in the scope and span that are current now.
pub(super) fn in_scope(response: Response) -> Response {
    if !is_endless(&response) {
        return response;
    }
    // The caller that waits for the answer has it.
    let scope = Scope::current().map(|scope| Scope { deadline: None, activity: None, ..scope });
    response.map(|body| Body::new(Streaming { body: Some(body), scope, span: Span::current() }))
}

/// A stream in the scope of its request. When it panics, it breaks off, so that its client knows that it is not whole.
struct Streaming {
    /// Until it has ended.
    body: Option<Body>,
    scope: Option<Scope>,
    span: Span,
}

impl Streaming {
    /// Runs code of the stream.
    fn run<R>(&mut self, code: impl FnOnce(&mut Option<Body>) -> R) -> Result<R, panics::Panic> {
        let Self { body, scope, span } = self;
        let run = || panics::catch(|| code(body));
        span.in_scope(|| match scope {
            Some(scope) => scope.enter(run),
            None => run(),
        })
    }

    /// Drops what is left.
    fn end(&mut self) {
        let dropped = self.run(|body| drop(body.take()));
        if let Err(panic) = dropped {
            self.tell(&panic, "a destructor of an endpoint's stream panicked");
        }
    }

    /// Logs a panic with the place of the stream.
    fn tell(&self, panic: &panics::Panic, what: &str) {
        let tell = || tracing::error!(%panic, "{what}");
        self.span.in_scope(|| match &self.scope {
            Some(scope) => scope.enter(tell),
            None => tell(),
        });
    }
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = self.run(|body| body.as_mut().map(|body| Pin::new(body).poll_frame(context)));
        match polled {
            Ok(Some(Poll::Ready(None))) => {
                self.end();
                Poll::Ready(None)
            }
            Ok(Some(frame)) => frame,
            Ok(None) => Poll::Ready(None),
            Err(panic) => {
                self.tell(&panic, "the endpoint's stream panicked; its client is disconnected");
                self.end();
                Poll::Ready(Some(Err(axum::Error::new("the stream panicked"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn what_has_no_end_is_known_by_its_type_or_by_its_mark() {
        let body = || Body::new(http_body_util::StreamBody::new(Never));
        for (response, expected) in [
            (([(CONTENT_TYPE, "text/event-stream")], body()).into_response(), true),
            (([(CONTENT_TYPE, "Text/Event-Stream; charset=utf-8")], body()).into_response(), true),
            (([(CONTENT_TYPE, "text/event-streams")], body()).into_response(), false),
            ((EndsAtStop, body()).into_response(), true),
            (body().into_response(), false),
            // Its length is declared, so its client would miss the rest.
            (([(CONTENT_TYPE, "text/event-stream")], "data: 7\n\n").into_response(), false),
        ] {
            assert_eq!(is_endless(&response), expected, "{response:?}");
        }
    }

    struct Never;

    impl futures_core::Stream for Never {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }
}
