//! WebSockets, as axum has them, that end in order: when the process stops or hands over, each open socket gets a Close frame
//! with the code 1001 ("going away"), so that its client connects anew and reaches the next process.
//!
//! With the feature `ws`. What is here has the face of [`axum::extract::ws`], whose messages it uses; axum's own extractor works
//! too, but knows nothing of a stop, so that its sockets are cut off when `app.stop_within` (30 s) is over.
//!
//! ```
//! use axum::response::Response;
//! use bis::{http::ws::{Message, WebSocketUpgrade}, prelude::*};
//!
//! bis::service!("echo");
//!
//! #[api(GET, "/echo", public)]
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(|mut socket| async move {
//!         // `None` when the client has gone, or the app stops.
//!         while let Some(Ok(message)) = socket.recv().await {
//!             if let Message::Text(text) = message
//!                 && socket.send(Message::Text(text)).await.is_err()
//!             {
//!                 return;
//!             }
//!         }
//!     })
//! }
//! # fn main() {}
//! ```

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, ws},
    http::{HeaderValue, request::Parts},
    response::Response,
};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::{
    sync::{oneshot, watch},
    time::{Sleep, sleep, timeout},
};
use tracing::{Instrument, Span};

pub use axum::extract::ws::{
    CloseCode, CloseFrame, DefaultOnFailedUpgrade, Message, OnFailedUpgrade, Utf8Bytes, close_code, rejection,
};

use super::connection::{Stage, Stages};
use crate::{instance::Scope, panics::Caught};

/// How long a handler is given what its client sends after the Close frame, until the client's own.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Extractor for a WebSocket: [`axum::extract::ws::WebSocketUpgrade`], whose sockets end in order when the process stops.
#[must_use]
pub struct WebSocketUpgrade<F = DefaultOnFailedUpgrade> {
    inner: ws::WebSocketUpgrade<F>,
    stages: Option<watch::Receiver<Stage>>,
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = rejection::WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let inner = ws::WebSocketUpgrade::from_request_parts(parts, state).await?;
        let stages = parts.extensions.remove::<Stages>().map(|Stages(stages)| stages);
        Ok(Self { inner, stages })
    }
}

impl<F> WebSocketUpgrade<F> {
    /// As [`axum::extract::ws::WebSocketUpgrade::read_buffer_size`]: 128 KiB unless set.
    pub fn read_buffer_size(self, bytes: usize) -> Self {
        self.with(|inner| inner.read_buffer_size(bytes))
    }

    /// As [`axum::extract::ws::WebSocketUpgrade::write_buffer_size`]: 128 KiB unless set.
    pub fn write_buffer_size(self, bytes: usize) -> Self {
        self.with(|inner| inner.write_buffer_size(bytes))
    }

    /// As [`axum::extract::ws::WebSocketUpgrade::max_write_buffer_size`]: no limit unless set.
    pub fn max_write_buffer_size(self, bytes: usize) -> Self {
        self.with(|inner| inner.max_write_buffer_size(bytes))
    }

    /// The largest message that is received: 64 MiB unless set.
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.with(|inner| inner.max_message_size(bytes))
    }

    /// The largest frame that is received: 16 MiB unless set.
    pub fn max_frame_size(self, bytes: usize) -> Self {
        self.with(|inner| inner.max_frame_size(bytes))
    }

    /// Whether frames without a mask are received, which the protocol forbids. They are not unless set.
    pub fn accept_unmasked_frames(self, accept: bool) -> Self {
        self.with(|inner| inner.accept_unmasked_frames(accept))
    }

    /// The protocols that the endpoint speaks, the best first. The first that the client also asks for is used.
    pub fn protocols<I: IntoIterator<Item: Into<Cow<'static, str>>>>(self, protocols: I) -> Self {
        self.with(|inner| inner.protocols(protocols))
    }

    /// The protocols that the client asks for.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.inner.requested_protocols()
    }

    /// Uses this protocol, in place of one of [`protocols`](Self::protocols).
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.inner.set_selected_protocol(protocol);
    }

    /// The protocol that is used.
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.inner.selected_protocol()
    }

    /// Called when the connection does not become a socket; nothing happens then unless set.
    pub fn on_failed_upgrade<C: OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        let Self { inner, stages } = self;
        WebSocketUpgrade { inner: inner.on_failed_upgrade(callback), stages }
    }

    /// Makes the connection a socket, and calls `callback` with it on a task of its own, in the scope of the request: what it
    /// publishes, calls and logs is part of the same trace, and comes from the same service. What this returns is the
    /// endpoint's answer.
    #[must_use = "the answer makes the connection a socket"]
    pub fn on_upgrade<C, R>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
        F: OnFailedUpgrade,
    {
        let Self { inner, stages } = self;
        let scope = Scope::current().map(|scope| Scope { deadline: None, activity: None, ..scope });
        let span = Span::current();
        inner.on_upgrade(|socket| {
            let serving = async move {
                match scope {
                    Some(scope) => scope.run(serve(socket, stages, callback)).await,
                    None => serve(socket, stages, callback).await,
                }
            };
            serving.instrument(span)
        })
    }

    fn with(self, set: impl FnOnce(ws::WebSocketUpgrade<F>) -> ws::WebSocketUpgrade<F>) -> Self {
        Self { inner: set(self.inner), ..self }
    }
}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocketUpgrade").field(&self.inner).finish()
    }
}

/// Runs the handler of a socket, and closes the socket when the process stops.
async fn serve<C, R>(inner: ws::WebSocket, stages: Option<watch::Receiver<Stage>>, callback: C)
where
    C: FnOnce(WebSocket) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::new(Shared { inner: Mutex::new(inner), is_closing: AtomicBool::new(false) });
    let (held, dropped) = oneshot::channel::<Infallible>();
    let handler = Box::pin(callback(WebSocket::new(shared.clone(), stages.clone(), held)));
    let working = async {
        if let Err(panic) = Caught::new("the handler of a socket", handler).await {
            tracing::error!(%panic, "the handler of a socket panicked");
        }
        // It may have given the socket to another task.
        dropped.await.ok();
    };
    tokio::select! {
        biased;
        () = reaches(stages.clone(), |stage| stage.is_over) => return,
        () = working => {}
        () = async {
            reaches(stages.clone(), |stage| stage.stopping_at.is_some()).await;
            shared.close().await;
            pending().await
        } => {}
    }
    let stage = stages.map(|stages| *stages.borrow()).unwrap_or_default();
    if stage.stopping_at.is_some() {
        let closing = async {
            shared.close().await;
            while let Some(Ok(_)) = poll_fn(|context| shared.poll_next(context)).await {}
        };
        // As long as a client has that is kept for another request.
        timeout(stage.linger, closing).await.ok();
    }
}

/// Completes when the listener is at such a stage.
async fn reaches(stages: Option<watch::Receiver<Stage>>, is_right: impl FnMut(&Stage) -> bool) {
    match stages {
        Some(mut stages) => drop(stages.wait_for(is_right).await),
        None => pending().await,
    }
}

/// A socket that its handler uses, and that is closed when the process stops.
struct Shared {
    inner: Mutex<ws::WebSocket>,
    is_closing: AtomicBool,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, ws::WebSocket> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Message, axum::Error>>> {
        Pin::new(&mut *self.inner()).poll_next(context)
    }

    /// Says that the process goes away. The client may have gone, or the handler may have closed the socket already.
    async fn close(&self) {
        if poll_fn(|context| Pin::new(&mut *self.inner()).poll_ready(context)).await.is_err() {
            return;
        }
        if !self.is_closing.swap(true, Ordering::Relaxed) {
            let reason = Utf8Bytes::from_static("going away");
            let frame = CloseFrame { code: close_code::AWAY, reason };
            Pin::new(&mut *self.inner()).start_send(Message::Close(Some(frame))).ok();
        }
        poll_fn(|context| Pin::new(&mut *self.inner()).poll_flush(context)).await.ok();
    }
}

type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A socket: [`axum::extract::ws::WebSocket`] that ends when the process stops or hands over. It is a [`Stream`] and a [`Sink`] of
/// messages, too, which `StreamExt::split` of the crate `futures-util` takes apart.
///
/// When the process stops, the client gets a Close frame with the code 1001. What it sends before it closes in turn is still received,
/// for a second at most; then [`recv`](Self::recv) returns `None`, and nothing can be sent any more.
pub struct WebSocket {
    shared: Arc<Shared>,
    protocol: Option<HeaderValue>,
    /// Completes when the process stops, for the reading side. `None` once it has.
    reading: Option<Stopped>,
    /// The same for the writing side, which may be another task.
    writing: Option<Stopped>,
    /// How long the client may still send.
    patience: Option<Pin<Box<Sleep>>>,
    is_over: bool,
    /// Marks the socket as no longer used.
    _held: oneshot::Sender<Infallible>,
}

impl WebSocket {
    fn new(
        shared: Arc<Shared>,
        stages: Option<watch::Receiver<Stage>>,
        held: oneshot::Sender<Infallible>,
    ) -> Self {
        let stopped = || -> Option<Stopped> {
            Some(Box::pin(reaches(stages.clone(), |stage| stage.stopping_at.is_some())))
        };
        let (reading, writing) = (stopped(), stopped());
        let protocol = shared.inner().protocol().cloned();
        Self { shared, protocol, reading, writing, patience: None, is_over: false, _held: held }
    }

    /// The next message; `None` when the socket is closed, or the process stops.
    ///
    /// # Errors
    /// When the client breaks the protocol, or its connection breaks.
    pub async fn recv(&mut self) -> Option<Result<Message, axum::Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Sends a message, and waits until the system has taken it.
    ///
    /// # Errors
    /// When the socket is closed, or the process stops.
    pub async fn send(&mut self, message: Message) -> Result<(), axum::Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_ready(context)).await?;
        Pin::new(&mut *self).start_send(message)?;
        poll_fn(|context| Pin::new(&mut *self).poll_flush(context)).await
    }

    /// The protocol that is used, if one was agreed upon.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// Whether nothing can be sent since the process stops.
    fn poll_stopped(&mut self, context: &mut Context<'_>) -> Result<(), axum::Error> {
        if let Some(stopped) = &mut self.writing
            && stopped.as_mut().poll(context).is_ready()
        {
            self.writing = None;
        }
        match self.writing {
            Some(_) => Ok(()),
            None => Err(axum::Error::new("the app is stopping, and the socket is closed")),
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(stopped) = &mut self.reading
            && stopped.as_mut().poll(context).is_ready()
        {
            self.reading = None;
            self.patience = Some(Box::pin(sleep(ANSWER_WAIT)));
        }
        let Some(patience) = &mut self.patience else { return self.shared.poll_next(context) };
        if patience.as_mut().poll(context).is_pending() {
            match self.shared.poll_next(context) {
                Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => {}
                received => return received,
            }
        }
        self.is_over = true;
        Poll::Ready(None)
    }
}

impl futures_core::stream::FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.is_over || self.shared.inner().is_terminated()
    }
}

impl Sink<Message> for WebSocket {
    type Error = axum::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.poll_stopped(context)?;
        Pin::new(&mut *self.shared.inner()).poll_ready(context)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        Pin::new(&mut *self.shared.inner()).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        self.poll_stopped(context)?;
        Pin::new(&mut *self.shared.inner()).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Pin::new(&mut *self.shared.inner()).poll_close(context)
    }
}
