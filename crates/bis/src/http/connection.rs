//! One connection of a listener: what its client is doing, and how long each step may take. It never looks into requests.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

#[cfg(feature = "ws")]
use axum::http::header::UPGRADE;
use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONNECTION},
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    body::{RequestBody, UNWANTED_LIMIT},
    error,
    layers::RequestService,
    request, stream, wire,
};

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From a request's first byte to the end of its header, and from connecting to the first byte.
    pub(crate) header: Duration,
    /// How long it may pause within a body.
    pub(crate) body: Duration,
    /// How long a connection is kept for the next request.
    pub(crate) idle: Duration,
    /// How long a client may take nothing of an answer.
    pub(crate) write: Duration,
    /// The time for an unfinished header when the process stops, and for every connection that waits for a request when there is
    /// no room for another one.
    pub(crate) short: Duration,
}

impl Limits {
    /// Connections are kept longer than the pools of usual clients keep theirs (90 s in Go's and in hyper's), so that the
    /// client closes first.
    pub(crate) const DEFAULT: Self = Self {
        header: Duration::from_secs(10),
        body: Duration::from_secs(30),
        idle: Duration::from_secs(120),
        write: Duration::from_secs(30),
        short: Duration::from_secs(1),
    };
}

/// What a listener's connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: RequestService,
    pub(super) stage: watch::Receiver<Stage>,
    /// How long a request may take until its answer begins.
    pub(super) request_timeout: Duration,
    /// Whether a request may name its own time, as calls from another process do.
    pub(super) takes_deadlines: bool,
    pub(super) limits: Limits,
    /// Dropped with the last connection and the last request.
    pub(super) alive: mpsc::Sender<()>,
}

/// The stage of a listener.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    /// When there was last no room for another connection.
    pub(super) full_at: Option<Instant>,
    /// When the process was told to stop.
    pub(super) stopping_at: Option<Instant>,
    /// How long a kept connection stays open from then on.
    pub(super) linger: Duration,
    /// Whether everything ends now.
    pub(super) is_over: bool,
}

/// The stage of a request's listener, as the request carries it.
#[cfg(feature = "ws")]
#[derive(Debug, Clone)]
pub(super) struct Stages(pub(super) watch::Receiver<Stage>);

/// What a client is doing, and since when.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// It has sent nothing.
    New(Instant),
    /// It has sent a part of a header.
    Header(Instant),
    /// It has an answer coming.
    Request,
    /// It takes nothing of its answer.
    Stalled(Instant),
    /// It has its answer, and still sends a body that nobody wants.
    Rest(Instant),
    /// It may send another request.
    Idle(Instant),
}

/// When a connection is closed unless something happens on it.
fn deadline(phase: Phase, stage: Stage, limits: Limits) -> Option<Instant> {
    let (since, limit) = match phase {
        Phase::Request => return None,
        Phase::Stalled(since) => {
            let own = since + limits.write;
            return Some(stage.stopping_at.map_or(own, |at| own.min(at.max(since) + limits.short)));
        }
        // The body ends it earlier, if it can.
        Phase::Rest(since) => return Some(since + UNWANTED_LIMIT),
        Phase::New(since) | Phase::Header(since) => (since, limits.header),
        Phase::Idle(since) => (since, limits.idle),
    };
    let mut deadline = since + limit;
    if let Some(full_at) = stage.full_at.filter(|full_at| since < *full_at) {
        deadline = deadline.min(full_at.max(since + limits.short));
    }
    if let Some(stopping_at) = stage.stopping_at {
        let stopped = match phase {
            Phase::Idle(_) => stopping_at + stage.linger,
            _ => stopping_at.max(since) + limits.short.min(stage.linger),
        };
        // A client that was promised a kept connection may be about to use it.
        deadline = if matches!(phase, Phase::Idle(_)) { stopped } else { deadline.min(stopped) };
    }
    Some(deadline)
}

/// Serves one connection until its client closes it, is too slow, or the listener stops.
pub(super) async fn serve(stream: TcpStream, client: SocketAddr, shared: Shared) {
    // Only the time of small answers depends on it.
    stream.set_nodelay(true).ok();
    let (phase, mut phases) = watch::channel(Phase::New(Instant::now()));
    let progress = Arc::new(Progress {
        phase,
        is_answered: AtomicBool::new(false),
        is_stream: AtomicBool::new(false),
        bodies: AtomicUsize::new(0),
    });
    let io = TokioIo::new(Watched { stream, progress: progress.clone(), _alive: shared.alive.clone() });
    let limits = shared.limits;
    let mut stages = shared.stage.clone();
    let seen = progress.clone();
    let service = service_fn(move |request| {
        let answering = Progress::begin(&progress);
        let stages = shared.stage.clone();
        let answer = request_task(request, client, shared.clone(), Receiving::begin(&progress));
        async move {
            let response = answer.await;
            let ends = stream::is_endless(&response).then(|| answering.stream(stages));
            let answer = |body| Answer { body, ends, _answering: answering };
            Ok::<_, std::convert::Infallible>(response.map(answer))
        }
    });
    let mut builder = http1::Builder::new();
    let mut connection =
        pin!(builder.header_read_timeout(None).serve_connection(io, service).with_upgrades());
    loop {
        let (now, stage) = (*phases.borrow_and_update(), *stages.borrow_and_update());
        if stage.is_over {
            return;
        }
        if stage.stopping_at.is_some() && seen.is_stream.load(Ordering::Relaxed) {
            // The client of a stream comes again, and is to reach another process.
            connection.as_mut().graceful_shutdown();
        }
        let deadline = deadline(now, stage, limits);
        let expired = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // A broken connection is not an error here.
            _ = connection.as_mut() => return,
            _ = phases.changed() => {}
            _ = stages.changed() => {}
            () = expired => return,
        }
    }
}

/// Answers a request on a task of its own, so that an endpoint runs to its end when its client is gone.
fn request_task(
    request: hyper::Request<Incoming>,
    client: SocketAddr,
    shared: Shared,
    receiving: Receiving,
) -> impl Future<Output = Response> + Send {
    let (parts, incoming) = request.into_parts();
    let (limit, late) = shared.limit(&parts.headers);
    let body = RequestBody::new(incoming, &parts.headers, shared.limits.body, receiving);
    let mut request = Request::from_parts(parts, Body::new(body));
    request.extensions_mut().insert(ConnectInfo(client));
    #[cfg(feature = "ws")]
    if request.headers().contains_key(UPGRADE) {
        request.extensions_mut().insert(Stages(shared.stage.clone()));
    }
    let path = request.uri().path().to_owned();
    let method = request::known(request.method());
    let mut stage = shared.stage.clone();
    // Around the limit too, so that what is said when it is over names the trace and the endpoint.
    let scope = request::scope(request.headers());
    let task = tokio::spawn(scope.run(async move {
        let Shared { app, mut stage, alive: _alive, .. } = shared;
        let answer = async { tokio::select! {
            response = request::run_in_scope(&app, request) => response,
            () = tokio::time::sleep(limit) => {
                tracing::error!(url.path = path, limit_s = limit.as_secs(), "the request took too long and was cut off");
                error::late(late)
            }
            _ = stage.wait_for(|stage| stage.is_over) => {
                error::answer(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping; try again")
            }
        } };
        request::measured(method, answer).await
    }));
    async move {
        let mut response =
            task.await.unwrap_or_else(|_| error::answer(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !is_upgrade && stage.borrow_and_update().stopping_at.is_some() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl Shared {
    /// How long a request may take, and with what it is answered then. A caller that has set the time is told the same by
    /// the side that notices first that it is over.
    fn limit(&self, headers: &HeaderMap) -> (Duration, StatusCode) {
        match wire::deadline(headers).filter(|_| self.takes_deadlines) {
            Some(own) => (own, StatusCode::GATEWAY_TIMEOUT),
            None => (self.request_timeout, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// What the parts of a connection report about its client.
struct Progress {
    phase: watch::Sender<Phase>,
    /// Whether the whole answer was made, and only has to be written.
    is_answered: AtomicBool,
    /// Whether the answer has no end of its own.
    is_stream: AtomicBool,
    /// How many bodies of requests have not been read to their end.
    bodies: AtomicUsize,
}

impl Progress {
    fn begin(this: &Arc<Self>) -> Answering {
        this.is_answered.store(false, Ordering::Relaxed);
        this.is_stream.store(false, Ordering::Relaxed);
        this.phase.send_replace(Phase::Request);
        Answering(this.clone())
    }

    /// Something was read.
    fn read(&self) {
        self.phase.send_if_modified(|phase| {
            let begins = matches!(phase, Phase::New(_) | Phase::Idle(_));
            if begins {
                *phase = Phase::Header(Instant::now());
            }
            begins
        });
    }

    /// Something was written, or cannot be.
    fn wrote(&self, is_pending: bool) {
        self.phase.send_if_modified(|phase| match (*phase, is_pending) {
            (Phase::Request, true) => {
                *phase = Phase::Stalled(Instant::now());
                true
            }
            (Phase::Stalled(_), false) => {
                *phase = Phase::Request;
                true
            }
            _ => false,
        });
    }

    /// Everything is written that there is to write.
    fn flushed(&self) {
        if self.is_answered.swap(false, Ordering::Relaxed) {
            let now = Instant::now();
            self.phase.send_modify(|phase| {
                let is_left = self.bodies.load(Ordering::Relaxed) > 0;
                *phase = if is_left { Phase::Rest(now) } else { Phase::Idle(now) };
            });
        }
    }

    /// A body has been read to its end.
    fn received(&self) {
        self.bodies.fetch_sub(1, Ordering::Relaxed);
        self.phase.send_if_modified(|phase| {
            let ends = matches!(phase, Phase::Rest(_)) && self.bodies.load(Ordering::Relaxed) == 0;
            if ends {
                *phase = Phase::Idle(Instant::now());
            }
            ends
        });
    }
}

/// While it lives, the body of a request is not at its end.
struct Receiving(Arc<Progress>);

impl Receiving {
    fn begin(progress: &Arc<Progress>) -> Self {
        progress.bodies.fetch_add(1, Ordering::Relaxed);
        Self(progress.clone())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.received();
    }
}

/// While it lives, an answer is being made.
struct Answering(Arc<Progress>);

impl Answering {
    /// Notes that the answer has no end of its own, and returns what ends it.
    fn stream(&self, mut stages: watch::Receiver<Stage>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.is_stream.store(true, Ordering::Relaxed);
        Box::pin(async move {
            stages.wait_for(|stage| stage.stopping_at.is_some()).await.ok();
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_answered.store(true, Ordering::Relaxed);
    }
}

/// The body of an answer, which is made to its end when it is dropped.
struct Answer {
    body: Body,
    /// Completes when the body must end, if it has no end of its own.
    ends: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(context).is_ready()
        {
            // Nothing of it is asked for again, so what it holds goes now.
            self.body = Body::empty();
            self.ends = None;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notes when its client begins a request, and when it takes nothing of an answer.
struct Watched {
    stream: TcpStream,
    progress: Arc<Progress>,
    /// A connection that became something else is waited for, too.
    _alive: mpsc::Sender<()>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.read();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.progress.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits::DEFAULT;
    const LINGER: Duration = Duration::from_secs(5);

    #[track_caller]
    fn check(phase: fn(Instant) -> Phase, stage: impl FnOnce(Instant) -> Stage, expected: Option<Duration>) {
        let start = Instant::now();
        let deadline = deadline(phase(start), stage(start), LIMITS);
        assert_eq!(deadline.map(|deadline| deadline - start), expected);
    }

    #[test]
    fn what_waits_for_its_client_ends() {
        let serving = |_| Stage::default();
        check(Phase::New, serving, Some(LIMITS.header));
        check(Phase::Header, serving, Some(LIMITS.header));
        check(Phase::Idle, serving, Some(LIMITS.idle));
        check(Phase::Stalled, serving, Some(LIMITS.write));
        check(Phase::Rest, serving, Some(UNWANTED_LIMIT));
        check(|_| Phase::Request, serving, None);
    }

    #[test]
    fn a_stop_keeps_connections_that_a_client_may_use_and_no_half_header() {
        let later = Duration::from_secs(3);
        let stopping = |start| Stage { stopping_at: Some(start + later), linger: LINGER, ..Stage::default() };
        check(Phase::New, stopping, Some(later + LIMITS.short));
        check(Phase::Header, stopping, Some(later + LIMITS.short));
        check(Phase::Idle, stopping, Some(later + LINGER));
        check(|_| Phase::Request, stopping, None);
    }

    #[test]
    fn want_of_room_closes_what_has_waited() {
        let later = Duration::from_secs(3);
        let full = |start| Stage { full_at: Some(start + later), ..Stage::default() };
        check(Phase::Header, full, Some(later));
        check(Phase::Idle, full, Some(later));
        check(Phase::Idle, |start| Stage { full_at: Some(start), ..Stage::default() }, Some(LIMITS.idle));
        check(|_| Phase::Request, full, None);
    }
}
