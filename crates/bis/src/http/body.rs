//! The body of a request as a listener gives it to the router: with a limit on waiting for the client, and read to a bounded
//! end when nobody wants the rest, so that the answer reaches the client.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, http::HeaderMap};
use bis_core::format_duration;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::Sleep};

/// The most of an unwanted body that is read and dropped: 256 MiB.
const MAX_UNWANTED_BYTES: u64 = 256 * 1024 * 1024;

/// How long an unwanted body is read.
pub(super) const UNWANTED_LIMIT: Duration = Duration::from_secs(30);

/// A body that comes in over a connection.
///
/// A connection that is closed while its client still sends loses the answer with it: the client's system drops what it has
/// received once its own bytes are refused. So what is left of a body when it is dropped is read in the background.
pub(super) struct RequestBody<G: Send + 'static> {
    /// `None` once it has been dropped. With it is what lives until it has been read, or is given up.
    incoming: Option<(Incoming, G)>,
    /// How long the client may pause.
    pause_limit: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    /// The client waits for `100 Continue` before it sends anything.
    awaits_continue: bool,
}

impl<G: Send + 'static> RequestBody<G> {
    pub(super) fn new(incoming: Incoming, headers: &HeaderMap, pause_limit: Duration, guard: G) -> Self {
        let expects = headers.get(axum::http::header::EXPECT);
        let awaits_continue =
            expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Self { incoming: Some((incoming, guard)), pause_limit, pause: None, awaits_continue }
    }
}

impl<G: Send + Unpin + 'static> HttpBody for RequestBody<G> {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.awaits_continue = false;
        let Some((incoming, _)) = &mut self.incoming else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.pause_limit;
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match pause.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // Nothing more is read, which closes the connection.
                self.incoming = None;
                let text = format!("the client sent nothing for {} within the body", format_duration(limit));
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, text).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), |(incoming, _)| incoming.size_hint())
    }
}

impl<G: Send + 'static> Drop for RequestBody<G> {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|(incoming, _)| !incoming.is_end_stream());
        let Some((incoming, guard)) = unread else { return };
        // Reading would request the very body that nobody wants.
        if self.awaits_continue {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                // What is left then is not read, which closes the connection.
                tokio::time::timeout(UNWANTED_LIMIT, discard(incoming)).await.ok();
                drop(guard);
            });
        }
    }
}

async fn discard(mut incoming: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = incoming.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > MAX_UNWANTED_BYTES {
            return;
        }
    }
}

/// A body whose declared length is over the limit of the extractor that is about to read it. Its first read fails, so that the
/// client is neither asked for it nor waited for; once extraction is over, a handler that took the whole request may read it.
pub(super) struct DeclaredTooLarge {
    body: Body,
    is_extracting: Arc<AtomicBool>,
}

impl DeclaredTooLarge {
    /// The body, and what ends the extraction when it is set to `false`.
    pub(super) fn wrap(body: Body) -> (Body, Arc<AtomicBool>) {
        let is_extracting = Arc::new(AtomicBool::new(true));
        (Body::new(Self { body, is_extracting: is_extracting.clone() }), is_extracting)
    }
}

impl HttpBody for DeclaredTooLarge {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_extracting.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(length_limit_error(context))));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error by which axum's extractors know that a body is too large. Only a body over its limit makes one.
fn length_limit_error(context: &mut Context<'_>) -> axum::BoxError {
    let mut over = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    match Pin::new(&mut over).poll_frame(context) {
        Poll::Ready(Some(Err(error))) => {
            debug_assert!(error.is::<LengthLimitError>());
            error
        }
        _ => "the body is too large".into(),
    }
}
