//! Answers without an end: how they end at a stop, with clients that read, that do not, and that leave.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::AtomicUsize,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_core::Stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::http::EndsAtStop;

/// How a stop's limit is set where no test may wait for it.
pub(super) const NEVER: Duration = Duration::from_secs(3600);

/// What one event looks like on the wire: a chunk.
const CHUNK: &str = "9\r\ndata: 0\n\n\r\n";

/// The end of a body in chunks.
const END: &str = "0\r\n\r\n";

/// How many streams there are, and how many events they made.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    events: AtomicUsize,
    changed: Notify,
}

impl Counts {
    /// Waits until this many are open.
    async fn open(&self, expected: usize) {
        let reached = async {
            while self.open.load(Ordering::SeqCst) != expected {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("so many streams are open");
    }
}

/// One event at once, and others as it is told.
struct Ticks {
    counts: Arc<Counts>,
    /// How many events it has at once.
    ready: usize,
}

impl Ticks {
    fn new(counts: &Arc<Counts>, ready: usize) -> Self {
        counts.open.fetch_add(1, Ordering::SeqCst);
        counts.changed.notify_one();
        Self { counts: counts.clone(), ready }
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
        self.counts.changed.notify_one();
    }
}

impl Stream for Ticks {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = self.ready.checked_sub(1) else { return Poll::Pending };
        self.ready = left;
        self.counts.events.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Event::default().data("0"))))
    }
}

/// A server of streams, which says how many are open.
fn streams(ready: usize) -> (Router, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let kept = counts.clone();
    let events = async move || Sse::new(Ticks::new(&kept, ready)).keep_alive(KeepAlive::default());
    (Router::new().route("/", get(events)), counts)
}

/// Starts a server whose stop is of a kind.
pub(super) async fn start(
    router: Router,
    serving: impl FnOnce(Serving) -> Serving,
) -> (SocketAddr, oneshot::Sender<Stop>, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or(Stop::Prompt) };
    let usual = Serving {
        request_timeout: NEVER,
        takes_deadlines: false,
        when_closed: None,
        stop_within: NEVER,
        limits: PATIENT,
    };
    (address, stop, tokio::spawn(serve(listener, RequestService::new(router), stopped, serving(usual))))
}

/// A client that has read the first event.
async fn listener(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(GET).await.unwrap();
    let head = read_until(&mut client, CHUNK).await.unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    client
}

#[tokio::test]
async fn a_stop_of_either_kind_ends_streams_in_order_and_at_once() {
    for kind in [Stop::HandOver, Stop::Prompt] {
        let (router, counts) = streams(1);
        // Another process holds the socket too, or none does.
        let when_closed: Option<fn()> = (kind == Stop::HandOver).then_some(|| ());
        let (address, stop, serving) = start(router, |usual| Serving { when_closed, ..usual }).await;
        let mut client = listener(address).await;
        stop.send(kind).unwrap();
        assert_eq!(read_until(&mut client, END).await.unwrap(), END, "{kind:?}");
        assert!(is_closed(&mut client).await, "its client is to connect anew");
        counts.open(0).await;
        Server::ended(serving).await;
    }
}

#[tokio::test]
async fn other_bodies_end_at_a_stop_when_they_say_so() {
    let counts = Arc::new(Counts::default());
    let kept = counts.clone();
    let lines = async move || {
        let stream = Sse::new(Ticks::new(&kept, 1)).into_response().into_body();
        (EndsAtStop, [("content-type", "text/plain")], Body::from_stream(stream.into_data_stream()))
    };
    let (address, stop, serving) = start(Router::new().route("/", get(lines)), |usual| usual).await;
    let mut client = listener(address).await;
    stop.send(Stop::HandOver).unwrap();
    assert_eq!(read_until(&mut client, END).await.unwrap(), END);
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_stream_asked_for_after_the_stop_ends_at_once_and_closes_its_connection() {
    let (router, counts) = streams(1);
    let router = router.route("/hello", get(async || ANSWER));
    let (address, stop, serving) = start(router, |usual| usual).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut kept, ANSWER).await.unwrap();
    let mut client = listener(address).await;
    stop.send(Stop::HandOver).unwrap();
    read_until(&mut client, END).await.unwrap();
    // Now it is known to stop. A browser gives up where it is refused, and comes again where the stream ends.
    kept.write_all(GET).await.unwrap();
    let answer = read_until(&mut kept, END).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(is_closed(&mut kept).await);
    counts.open(0).await;
    Server::ended(serving).await;
}

#[tokio::test]
async fn the_limit_of_a_request_does_not_end_a_stream() {
    let counts = Arc::new(Counts::default());
    let (kept, go_on) = (counts.clone(), Arc::new(Notify::new()));
    let gate = go_on.clone();
    let late = async move || {
        let (ticks, gate) = (Ticks::new(&kept, 2), gate.clone());
        Sse::new(Gated { ticks, gate: Box::pin(async move { gate.notified().await }), passed: false })
    };
    let limit = Duration::from_millis(50);
    let router = Router::new().route("/", get(late));
    let (address, stop, serving) = start(router, |usual| Serving { request_timeout: limit, ..usual }).await;
    let mut client = listener(address).await;
    tokio::time::sleep(limit * 3).await;
    go_on.notify_one();
    assert_eq!(read_until(&mut client, CHUNK).await.unwrap(), CHUNK);
    stop.send(Stop::Prompt).unwrap();
    Server::ended(serving).await;
}

/// Its second event waits.
struct Gated {
    ticks: Ticks,
    gate: Pin<Box<dyn Future<Output = ()> + Send>>,
    passed: bool,
}

impl Stream for Gated {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ticks.ready == 1 && !self.passed {
            std::task::ready!(self.gate.as_mut().poll(context));
            self.passed = true;
        }
        Pin::new(&mut self.ticks).poll_next(context)
    }
}

#[tokio::test]
async fn a_stream_is_dropped_when_its_client_leaves() {
    let (router, counts) = streams(1);
    let (address, stop, serving) = start(router, |usual| usual).await;
    let client = listener(address).await;
    counts.open(1).await;
    drop(client);
    counts.open(0).await;
    stop.send(Stop::Prompt).unwrap();
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_bounded_and_closed() {
    // It always has an event, and nobody reads.
    let (router, counts) = streams(usize::MAX);
    let limits = Limits { write: IMPATIENT.write, ..PATIENT };
    let (address, stop, serving) = start(router, |usual| Serving { limits, ..usual }).await;
    let client = listener_without_reading(address).await;
    counts.open(1).await;
    counts.open(0).await;
    // What hyper and the system hold: some megabytes of 14 bytes each.
    let events = counts.events.load(Ordering::SeqCst);
    assert!(events < 2_000_000, "{events} events were made for a client that reads none");
    drop(client);
    stop.send(Stop::Prompt).unwrap();
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_hold_up_a_stop() {
    let (router, counts) = streams(usize::MAX);
    let limits = Limits { short: IMPATIENT.short, ..PATIENT };
    let (address, stop, serving) = start(router, |usual| Serving { limits, ..usual }).await;
    let client = listener_without_reading(address).await;
    counts.open(1).await;
    // Until nothing more fits between the two, and the connection waits for its client alone.
    let mut before = 0;
    while before != counts.events.load(Ordering::Relaxed) || before == 0 {
        before = counts.events.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.send(Stop::HandOver).unwrap();
    Server::ended(serving).await;
    counts.open(0).await;
    drop(client);
}

async fn listener_without_reading(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(GET).await.unwrap();
    client
}

/// As many streams as the system gives a process descriptors for, two each, and 10,000 at most.
fn most_streams() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("a process may raise its limit to the hard one");
    let descriptors = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    (descriptors.saturating_sub(500) / 2).min(10_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_end_in_order() {
    let count = most_streams();
    let (router, counts) = streams(1);
    let (address, stop, serving) = start(router, |usual| usual).await;
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(listener(address).await);
    }
    counts.open(count).await;
    stop.send(Stop::HandOver).unwrap();
    for client in &mut clients {
        assert_eq!(read_until(client, END).await.unwrap(), END);
    }
    counts.open(0).await;
    Server::ended(serving).await;
}
