//! Real connections to a listener: clients that are slow, that leave, that send too much, and a stop among them.

#[cfg(feature = "ws")]
mod sockets;
mod streams;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::ConnectInfo,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use super::*;

const ANSWER: &str = "hello";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// No step of a test takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Limits that no test waits for.
const PATIENT: Limits = Limits {
    header: Duration::from_secs(600),
    body: Duration::from_secs(600),
    idle: Duration::from_secs(600),
    write: Duration::from_secs(600),
    short: Duration::from_secs(600),
};

/// Limits that are over before a test has looked.
const IMPATIENT: Limits = Limits {
    header: Duration::from_millis(50),
    body: Duration::from_millis(50),
    idle: Duration::from_millis(50),
    write: Duration::from_millis(50),
    short: Duration::from_millis(50),
};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(router: Router, limits: Limits, stop_within: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.map_or(Stop::HandOver, |()| Stop::HandOver) };
        let request_timeout = Duration::from_secs(60);
        let serving =
            Serving { request_timeout, takes_deadlines: false, when_closed: None, stop_within, limits };
        let serving = tokio::spawn(serve(listener, RequestService::new(router), stopped, serving));
        Self { address, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(serving: JoinHandle<io::Result<()>>) {
        tokio::time::timeout(PATIENCE, serving).await.expect("the server stops").unwrap().unwrap();
    }
}

fn hello() -> Router {
    Router::new().route("/", get(async || ANSWER))
}

/// Reads until `end` has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> io::Result<String> {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer")?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    Ok(text)
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("the connection ends");
    !matches!(read, Ok(1..))
}

#[tokio::test]
async fn what_its_client_does_not_finish_is_closed() {
    let server = Server::start(hello(), IMPATIENT, PATIENCE).await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: lo").await.unwrap();
    let mut kept = server.connect().await;
    kept.write_all(GET).await.unwrap();
    read_until(&mut kept, ANSWER).await.unwrap();
    assert!(is_closed(&mut silent).await && is_closed(&mut half).await && is_closed(&mut kept).await);
}

#[tokio::test]
async fn a_body_that_its_client_does_not_finish_is_refused() {
    let router = Router::new().route("/", post(async |_: Bytes| ANSWER));
    let limits = Limits { body: IMPATIENT.body, ..PATIENT };
    let server = Server::start(router, limits, PATIENCE).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12").await.unwrap();
    let answer = read_until(&mut stream, "within the body").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_closed() {
    let large = Router::new().route("/", get(async || vec![b'x'; 64 * 1024 * 1024]));
    let limits = Limits { write: IMPATIENT.write, ..PATIENT };
    let server = Server::start(large, limits, Duration::from_secs(600)).await;
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    // It takes only the beginning.
    stream.read_u8().await.unwrap();
    let Server { stop, serving, .. } = server;
    stop.send(()).unwrap();
    // The server ends although the client still holds its end.
    Server::ended(serving).await;
    drop(stream);
}

#[tokio::test]
async fn half_a_header_does_not_hold_a_stop() {
    let limits = Limits { short: IMPATIENT.short, ..PATIENT };
    let server = Server::start(hello(), limits, Duration::from_secs(600)).await;
    let mut half = server.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: lo").await.unwrap();
    let silent = server.connect().await;
    let Server { stop, serving, .. } = server;
    stop.send(()).unwrap();
    Server::ended(serving).await;
    drop((half, silent));
}

#[tokio::test]
async fn a_kept_connection_has_its_next_request_answered_after_the_stop() {
    let server = Server::start(hello(), PATIENT, Duration::from_secs(600)).await;
    let mut kept = server.connect().await;
    kept.write_all(GET).await.unwrap();
    assert!(!read_until(&mut kept, ANSWER).await.unwrap().contains("connection: close"));
    let Server { stop, serving, address } = server;
    stop.send(()).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    kept.write_all(GET).await.unwrap();
    assert!(read_until(&mut kept, ANSWER).await.unwrap().contains("connection: close"));
    assert!(is_closed(&mut kept).await);
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_socket_that_others_hold_too_is_closed_at_once() {
    static CLOSED: AtomicU32 = AtomicU32::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Serving {
        request_timeout: PATIENCE,
        takes_deadlines: false,
        when_closed: Some(|| CLOSED.store(1, Ordering::Relaxed)),
        stop_within: PATIENCE,
        limits: PATIENT,
    };
    serve(listener, RequestService::new(hello()), std::future::ready(Stop::HandOver), serving).await.unwrap();
    assert_eq!(CLOSED.load(Ordering::Relaxed), 1);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_endpoint_runs_to_its_end_without_its_client() {
    let (started, go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let endpoint = {
        let (started, go_on, ended) = (started.clone(), go_on.clone(), ended.clone());
        async move || {
            started.notify_one();
            go_on.notified().await;
            ended.notify_one();
        }
    };
    let server = Server::start(Router::new().route("/", get(endpoint)), PATIENT, PATIENCE).await;
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    started.notified().await;
    drop(stream);
    let Server { stop, serving, .. } = server;
    stop.send(()).unwrap();
    // Time enough to notice that the client is gone: until then the server has nothing else to do.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished(), "a stop waits for the endpoint");
    go_on.notify_one();
    tokio::time::timeout(PATIENCE, ended.notified()).await.expect("the endpoint went on");
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = Router::new().route("/", get(async || std::future::pending::<()>().await));
    let serving = Serving {
        request_timeout: Duration::from_millis(50),
        takes_deadlines: false,
        when_closed: None,
        stop_within: PATIENCE,
        limits: PATIENT,
    };
    tokio::spawn(serve(listener, RequestService::new(never), std::future::pending(), serving));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let answer = read_until(&mut stream, "}").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("took too long"), "{answer}");
    assert!(answer.contains("\"trace_id\":\""), "{answer}");
}

#[tokio::test]
async fn a_caller_that_set_the_time_is_told_that_it_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = Router::new().route("/", get(async || std::future::pending::<()>().await));
    let serving = Serving {
        request_timeout: PATIENCE,
        takes_deadlines: true,
        when_closed: None,
        stop_within: PATIENCE,
        limits: PATIENT,
    };
    tokio::spawn(serve(listener, RequestService::new(never), std::future::pending(), serving));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nbis-deadline-ms: 50\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "}").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_reaches_its_client() {
    const BYTES: usize = 32 * 1024 * 1024;
    let refuse = Router::new().route("/", post(async || (StatusCode::PAYLOAD_TOO_LARGE, ANSWER)));
    let server = Server::start(refuse, PATIENT, PATIENCE).await;
    for framing in [format!("content-length: {BYTES}"), "transfer-encoding: chunked".to_owned()] {
        let mut stream = server.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if framing.contains("chunked") {
            stream.write_all(format!("{BYTES:x}\r\n").as_bytes()).await.unwrap();
        }
        // A client that reads only when it has sent everything.
        stream.write_all(&vec![b'x'; BYTES]).await.unwrap();
        if framing.contains("chunked") {
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        let answer = read_until(&mut stream, ANSWER).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{framing}: {answer}");
        // The body was read to its end, so the connection can be used again.
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        read_until(&mut stream, ANSWER).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_may_come_slowly() {
    const PIECES: usize = 10;
    let refuse = Router::new().route("/", post(async || (StatusCode::PAYLOAD_TOO_LARGE, ANSWER)));
    let limits = Limits { header: IMPATIENT.header, short: IMPATIENT.short, ..PATIENT };
    let server = Server::start(refuse, limits, PATIENCE).await;
    let mut stream = server.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {PIECES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..PIECES {
        tokio::time::sleep(IMPATIENT.header / 2).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert!(read_until(&mut stream, ANSWER).await.unwrap().starts_with("HTTP/1.1 413"));
    // From then on it is a kept connection.
    tokio::time::sleep(IMPATIENT.header * 4).await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    read_until(&mut stream, ANSWER).await.unwrap();
}

#[tokio::test]
async fn who_asks_first_is_not_told_to_send_what_nobody_wants() {
    let router = Router::new()
        .route("/", post(async || (StatusCode::PAYLOAD_TOO_LARGE, ANSWER)))
        .route("/read", post(async |body: Bytes| format!("{} {ANSWER}", body.len())));
    let server = Server::start(router, PATIENT, PATIENCE).await;
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
    };
    let mut stream = server.connect().await;
    stream.write_all(head("/").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, ANSWER).await.unwrap().starts_with("HTTP/1.1 413"));
    let mut stream = server.connect().await;
    stream.write_all(head("/read").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 100"));
    stream.write_all(b"12345").await.unwrap();
    assert!(read_until(&mut stream, ANSWER).await.unwrap().contains("5 hello"));
}

#[tokio::test]
async fn clients_have_addresses() {
    let router = Router::new()
        .route("/", get(async |ConnectInfo(client): ConnectInfo<SocketAddr>| format!("{client} {ANSWER}")));
    let server = Server::start(router, PATIENT, PATIENCE).await;
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    let answer = read_until(&mut stream, ANSWER).await.unwrap();
    assert!(answer.contains(&stream.local_addr().unwrap().to_string()), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_still_being_written_is_no_idle_connection() {
    const BYTES: usize = 64 * 1024 * 1024;
    let large = Router::new().route("/", get(async || vec![b'x'; BYTES]));
    let limits = Limits { idle: IMPATIENT.idle, ..PATIENT };
    let server = Server::start(large, limits, Duration::from_secs(600)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    tokio::time::sleep(IMPATIENT.idle * 4).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > BYTES, "{}", rest.len());
}

#[test]
fn kept_connections_wait_for_their_clients_at_a_hand_over_alone() {
    let serving = |stop_within| Serving {
        request_timeout: PATIENCE,
        takes_deadlines: false,
        when_closed: None,
        stop_within,
        limits: PATIENT,
    };
    let (long, short) = (Duration::from_secs(600), Duration::from_millis(400));
    assert_eq!(serving(long).linger(Stop::HandOver), MAX_LINGER);
    assert_eq!(serving(long).linger(Stop::Prompt), FAREWELL);
    assert_eq!(serving(short).linger(Stop::HandOver), short / 2);
}
