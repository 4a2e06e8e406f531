//! What clients may take of a router, and when they are answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Child;
use std::time::Duration;

use crate::support::authority::Authority;
use crate::support::layers::Certificates;
use crate::support::process::Kind;
use crate::support::{Client, Poll, http, name, options, process};
use bis_nsq::{Bodies, Command, Frame};
use bis_router::{Handle, Options, Router, TlsRequired};

/// What a router may take at most, in KiB, while it is sent commands of 5 MiB that hold the smallest messages.
const MOST_KIB: u64 = 200 * 1024;

/// The most memory that a process has had, in KiB.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Each message takes its record, dozens of times its size.
#[test]
fn many_small_messages_take_a_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (mut router, tcp, web) = process::start_both(Kind::Unsynced, folder.path());
    let lines = "x\n".repeat(5 * 1024 * 1024 / 2);
    assert_eq!(http(web, "POST", "/mpub?topic=lines", lines.as_bytes()), (200, "OK".to_owned()));
    assert!(peak(&router) < MOST_KIB / 2, "after a request: {} KiB", peak(&router));
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let bodies: Bodies = std::iter::repeat_n("x", 500_000).collect();
                let mut client = Client::connect(tcp);
                client.send(&Command::MultiPublish { topic: name("commands"), bodies });
                assert_eq!(client.response(), "OK");
                client.publish("commands", "after");
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let stats = http(web, "GET", "/stats?format=json", b"").1;
    let most = peak(&router);
    router.kill().unwrap();
    router.wait().unwrap();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let counts: Vec<_> = stats["topics"].as_array().unwrap().iter().map(|topic| &topic["depth"]).collect();
    assert_eq!(counts, [2_000_004, 2_621_440]);
    assert!(most < MOST_KIB, "after commands: {most} KiB");
}

/// A router where clients must say who they are, and the server that knows them.
async fn with_authority(change: impl FnOnce(&mut Options)) -> (tempfile::TempDir, Authority, Handle) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::start());
    authority.allow("known", 60, ".*", ".*", &["publish", "subscribe"]);
    let mut options = options(folder.path());
    options.auth.addresses = vec![authority.address.to_string()];
    change(&mut options);
    let router = Router::start(options).await.unwrap();
    (folder, authority, router)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stranger_little_is_taken() {
    let (_folder, _authority, router) = with_authority(|_| {}).await;
    let address = router.tcp_address();
    for (start, text) in [
        (&b"IDENTIFY\n\0\x40\0\0{"[..], "E_BAD_BODY IDENTIFY body too big 4194304 > 16384"),
        (b"AUTH\n\0\x40\0\0s", "E_BAD_BODY AUTH body too big 4194304 > 16384"),
        (b"PUB orders\n\0\x0f\0\0x", "E_AUTH_FIRST AUTH required before PUB"),
        (b"DPUB orders 1\n\0\x0f\0\0x", "E_AUTH_FIRST AUTH required before DPUB"),
        (b"MPUB orders\n\0\x40\0\0", "E_AUTH_FIRST AUTH required before MPUB"),
    ] {
        let mut stranger = Client::connect(address);
        stranger.send_raw(start);
        stranger.ends_with(text);
    }
    let mut stranger = Client::connect(address);
    // It may be cut off before it has sent all of it.
    stranger.send_if_open(&b"NOP\n".repeat(128 * 1024));
    stranger.ends_with("E_INVALID more than 262144 bytes from a client that is not known yet");

    let mut known = Client::connect(address);
    known.send_sized("AUTH", b"known");
    assert!(known.response().contains("somebody"));
    known.publish("orders", vec![b'x'; 1024 * 1024]);
    known.send_sized("PUB orders", b"small");
    assert_eq!(known.response(), "OK");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_turned_away_in_time() {
    let soon = |options: &mut Options| options.stranger_timeout = Duration::from_millis(300);
    let (_folder, _authority, router) = with_authority(soon).await;
    let mut known = Client::connect(router.tcp_address());
    known.send_sized("AUTH", b"known");
    known.response();
    for start in [&b"IDENTIFY\n\0\0\x10\0{"[..], b"NOP\n", b""] {
        let mut stranger = Client::connect(router.tcp_address());
        stranger.send_raw(start);
        stranger.ends_with("E_INVALID AUTH took longer than 300ms");
    }
    let mut silent = TcpStream::connect(router.tcp_address()).unwrap();
    assert_eq!(silent.read(&mut [0; 64]).unwrap(), 0, "it does not even say what it speaks");
    known.publish("orders", "one");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_little_is_taken_where_it_is_required() {
    let (folder, certificates) = (tempfile::tempdir().unwrap(), Certificates::new());
    let mut options = options(folder.path());
    options.tls.certificate = Some(certificates.path("server.pem"));
    options.tls.key = Some(certificates.path("server.key"));
    options.tls.required = TlsRequired::ExceptHttp;
    options.stranger_timeout = Duration::from_millis(300);
    let router = Router::start(options).await.unwrap();
    let mut stranger = Client::connect(router.tcp_address());
    stranger.send_raw(b"IDENTIFY\n\0\x40\0\0{");
    stranger.ends_with("E_BAD_BODY IDENTIFY body too big 4194304 > 16384");
    let mut stranger = Client::connect(router.tcp_address());
    stranger.send_raw(b"IDENTIFY\n\0\0\x10\0{");
    stranger.ends_with("E_INVALID TLS took longer than 300ms");
    router.shutdown().await.unwrap();
}

/// With one thread the order is the same nearly each time: but for a publisher that is still busy with its command when that is
/// stored.
#[test]
fn a_publisher_has_its_answer_before_a_consumer_has_the_message() {
    const MESSAGES: usize = 200;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let router = runtime.block_on(Router::start(options(folder.path()))).unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 2500);
    let mut producer = Client::connect(router.tcp_address());
    let mut answered_first = 0;
    for number in 0..MESSAGES {
        producer.send(&Command::Publish { topic: name("orders"), body: number.to_string().into() });
        consumer.message();
        // What was written before is there already.
        match producer.poll(Duration::ZERO) {
            Poll::Frame(Frame::Response(_)) => answered_first += 1,
            _ => assert_eq!(producer.response(), "OK"),
        }
    }
    assert!(answered_first > MESSAGES * 3 / 4, "{answered_first} of {MESSAGES} were answered first");
    runtime.block_on(router.shutdown()).unwrap();
}

/// The only thread is held up until the client has gone.
#[test]
fn a_connection_that_was_shut_down_at_once_is_sent_no_message() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let router = runtime.block_on(Router::start(options(folder.path()))).unwrap();
    let address = router.tcp_address();
    let mut producer = Client::subscribe(address, "orders", "ship", 0);
    producer.publish("orders", "one");
    for _ in 0..20 {
        let (held, is_held) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move {
            held.send(()).unwrap();
            released.recv().unwrap();
        });
        is_held.recv().unwrap();
        let mut gone = TcpStream::connect(address).unwrap();
        gone.write_all(b"  V2SUB orders ship\nRDY 1\n").unwrap();
        gone.shutdown(Shutdown::Write).unwrap();
        release.send(()).unwrap();
        let mut said = Vec::new();
        gone.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"\0\0\0\x06\0\0\0\0OK");
    }
    producer.send(&Command::Ready(1));
    assert_eq!(producer.message().attempts, 1, "nobody was given it");
    runtime.block_on(router.shutdown()).unwrap();
}
