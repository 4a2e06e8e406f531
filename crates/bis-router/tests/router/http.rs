//! Who the HTTP API answers, and how long it waits for them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{http, options};
use bis_router::{HttpTimeouts, Options, Router};

/// Sends these bytes and hears the server out.
fn ask(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    hear(stream)
}

/// What comes until the server closes the connection.
fn hear(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(address: SocketAddr, request: &str, headers: &[&str]) -> u16 {
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    let answer = ask(address, format!("{request} HTTP/1.1\r\n{headers}connection: close\r\n\r\n").as_bytes());
    answer[9..12].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.lookup.broadcast_address = Some("router.example".to_owned());
    let router = Router::start(options).await.unwrap();
    let address = router.http_address();
    let local = format!("host: {address}");
    let named = format!("host: localhost:{}", address.port());
    let own = format!("origin: http://{address}");
    http(address, "POST", "/topic/create?topic=orders", b"");
    let delete = "POST /topic/delete?topic=orders";
    for headers in [
        &[local.as_str(), "origin: http://evil.example"][..],
        &[&local, "origin: null"],
        &[&local, "origin: http://127.0.0.1:3000"],
        &[&named, &own],
        &[&local, "sec-fetch-site: cross-site"],
        &["host: evil.example"],
        &["host: evil.example:4151", "origin: http://evil.example:4151"],
        &["host: 127.0.0.1.evil.example"],
    ] {
        assert_eq!(status(address, delete, headers), 403, "{headers:?}");
        assert_eq!(status(address, "GET /stats", headers), 403, "{headers:?}");
        assert_eq!(status(address, "OPTIONS /stats", headers), 403, "{headers:?}");
    }
    for headers in [
        &[local.as_str()][..],
        &[&named],
        &["host: router.example:4151"],
        &["host: [::1]:4151"],
        &[&local, &own, "sec-fetch-site: same-origin"],
        &[&local, "sec-fetch-site: none"],
        &["host:"],
    ] {
        assert_eq!(status(address, "GET /stats", headers), 200, "{headers:?}");
    }
    assert!(ask(address, b"GET /stats HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200"));
    assert_eq!(status(address, delete, &[&local]), 200, "it was there all the time");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_others_can_reach_is_called_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.http_address = "0.0.0.0:0".parse().unwrap();
    options.allow_remote = true;
    let router = Router::start(options).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], router.http_address().port()));
    assert_eq!(status(address, "GET /ping", &["host: bis.internal"]), 200);
    assert_eq!(status(address, "GET /ping", &["host: bis.internal", "origin: http://evil.example"]), 403);
    router.shutdown().await.unwrap();
}

fn impatient(options: &mut Options) {
    let long = Duration::from_secs(3600);
    options.http = HttpTimeouts { head: long, body: long, idle: long, answer: long };
}

const SOON: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    impatient(&mut options);
    options.http.head = SOON;
    let router = Router::start(options).await.unwrap();
    let address = router.http_address();
    for start in [&b""[..], b"G", b"GET /ping HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(ask(address, start), "", "{start:?}");
    }
    // Byte by byte it has no more time.
    let mut stream = TcpStream::connect(address).unwrap();
    let mut other = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        other.write_all(b"GET /ping HTTP/1.1\r\nx: ").unwrap();
        while other.write_all(b"x").is_ok() {
            std::thread::sleep(SOON / 8);
        }
    });
    // Closed, or reset because there were bytes that nobody read.
    let _ = stream.read(&mut [0; 64]);
    dripping.join().unwrap();
    // One that follows a request too.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).unwrap();
    assert!(answer[..count].ends_with(b"OK"));
    stream.write_all(b"GET /pi").unwrap();
    assert_eq!(hear(stream), "");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    impatient(&mut options);
    options.http.body = SOON;
    let router = Router::start(options).await.unwrap();
    for path in ["POST /pub?topic=a", "POST /mpub?topic=a", "PUT /config/log_level"] {
        let head = format!("{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf");
        let answer = ask(router.http_address(), head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    impatient(&mut options);
    options.http.idle = SOON;
    let router = Router::start(options).await.unwrap();
    let answer = ask(router.http_address(), b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(answer.ends_with("OK"), "{answer}");
    router.shutdown().await.unwrap();
}

/// It asks for more than fits into the sockets, and takes none of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    impatient(&mut options);
    options.http.answer = SOON;
    let router = Router::start(options).await.unwrap();
    let address = router.http_address();
    for topic in 0..500 {
        http(address, "POST", &format!("/topic/create?topic=a-topic-with-a-long-name-{topic}"), b"");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET /stats HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // It ends when the router has given up.
    while stream.write_all(&request.repeat(100)).is_ok() {}
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_half_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    impatient(&mut options);
    let router = Router::start(options).await.unwrap();
    let mut head = TcpStream::connect(router.http_address()).unwrap();
    head.write_all(b"GET /pi").unwrap();
    let mut body = TcpStream::connect(router.http_address()).unwrap();
    body.write_all(b"POST /pub?topic=a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n").unwrap();
    // Within seconds: it would wait for an hour otherwise.
    router.shutdown().await.unwrap();
}
