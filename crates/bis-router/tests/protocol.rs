//! What NSQ clients and tools see of the router.

mod support;

use std::time::Duration;

use bis_nsq::{Command, Extension, Identify, IdentifyReply, MessageId};
use bis_router::{Options, Router, StartError};
use serde_json::Value;
use support::{Client, http, name, options, start};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_delivered_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut producer = Client::connect(router.tcp_address());
    producer.publish("orders", "one");
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    let message = consumer.message();
    assert_eq!((&message.body[..], message.attempts), (&b"one"[..], 1));
    producer
        .send(&Command::MultiPublish { topic: name("orders"), bodies: vec!["two".into(), "three".into()] });
    assert_eq!(producer.response(), "OK");
    assert!(consumer.is_quiet(Duration::from_millis(100)), "RDY 1 is one in flight");
    consumer.finish(&message);
    let two = consumer.message();
    assert_eq!(&two.body[..], b"two");
    consumer.send(&Command::Requeue { id: two.id, delay: Duration::ZERO });
    let mut bodies = vec![];
    for _ in 0..2 {
        let message = consumer.message();
        bodies.push((message.body.clone(), message.attempts));
        consumer.finish(&message);
    }
    bodies.sort();
    assert_eq!(bodies, [("three".into(), 1), ("two".into(), 2)]);
    consumer.send(&Command::Finish(two.id));
    let text = format!("E_FIN_FAILED FIN {} failed ID not in flight", two.id);
    assert_eq!(consumer.error(), text);
    consumer.send(&Command::Close);
    assert_eq!(consumer.response(), "CLOSE_WAIT");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_connection_held_comes_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut first = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    let mut second = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    let mut producer = Client::connect(router.tcp_address());
    producer.publish("orders", "one");
    assert_eq!(first.message().attempts, 1);
    second.send(&Command::Ready(10));
    drop(first);
    let again = second.message();
    assert_eq!((&again.body[..], again.attempts), (&b"one"[..], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_message_comes_again_after_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut consumer = Client::connect(router.tcp_address());
    let identify = Identify {
        msg_timeout: 1000,
        feature_negotiation: true,
        bis: Some(Extension::ask()),
        tls_v1: true,
        ..Identify::default()
    };
    consumer.send(&Command::Identify(identify.to_json().into()));
    let reply: IdentifyReply = serde_json::from_str(&consumer.response()).unwrap();
    assert_eq!((reply.msg_timeout, reply.max_rdy_count, reply.tls_v1), (1000, 2500, false));
    assert!(reply.offers(bis_nsq::FEATURE_RELEASE));
    consumer.send(&Command::Subscribe { topic: name("orders"), channel: name("ship"), ordered: false });
    assert_eq!(consumer.response(), "OK");
    consumer.send(&Command::Ready(1));
    Client::connect(router.tcp_address()).publish("orders", "one");
    let first = consumer.message();
    consumer.send(&Command::Release(first.id));
    let released = consumer.message();
    assert_eq!(released.attempts, 1, "a release is not counted");
    let again = consumer.message();
    assert_eq!(again.attempts, 2);
    let (_, stats) = http(router.http_address(), "GET", "/stats?format=json", b"");
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["topics"][0]["channels"][0]["timeout_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_hold_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    let mut producer = Client::connect(router.tcp_address());
    let started = std::time::Instant::now();
    let delay = Duration::from_millis(1500);
    producer.send(&Command::DeferredPublish { topic: name("orders"), delay, body: "later".into() });
    assert_eq!(producer.response(), "OK");
    producer.publish("orders", "now");
    let now = consumer.message();
    assert_eq!(&now.body[..], b"now");
    consumer.send(&Command::Requeue { id: now.id, delay });
    assert!(consumer.is_quiet(Duration::from_millis(100)));
    router.shutdown().await.unwrap();
    let router = start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    let mut bodies = vec![];
    for _ in 0..2 {
        let message = consumer.message();
        assert!(started.elapsed() >= delay, "too early");
        bodies.push((message.body.clone(), message.attempts));
        consumer.finish(&message);
    }
    bodies.sort();
    assert_eq!(bodies, [("later".into(), 1), ("now".into(), 2)]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_nsqds() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.max_message_bytes = 100;
    let router = Router::start(options).await.unwrap();
    let check = |bytes: &[u8], text: &str| {
        let mut client = Client::connect(router.tcp_address());
        client.send_raw(bytes);
        assert_eq!(client.error(), text);
        assert!(client.is_closed(), "{text} is fatal");
    };
    let mut large = b"PUB orders\n\0\0\0\x69".to_vec();
    large.extend([b'x'; 105]);
    check(&large, "E_BAD_MESSAGE PUB message too big 105 > 100");
    check(b"FIN 0123456789abcdef\n", "E_INVALID cannot FIN in current state");
    check(b"RDY 1\n", "E_INVALID cannot RDY in current state");
    check(b"CLS\n", "E_INVALID cannot CLS in current state");
    check(b"HELLO\n", "E_INVALID invalid command HELLO");
    check(b"AUTH\n\0\0\0\x01x", "E_AUTH_DISABLED AUTH disabled");
    check(b"PUB a/b\n\0\0\0\x01x", "E_BAD_TOPIC PUB topic name \"a/b\" is not valid");
    let mut stranger = std::net::TcpStream::connect(router.tcp_address()).unwrap();
    std::io::Write::write_all(&mut stranger, b"GET ").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stranger, &mut answer).unwrap();
    assert!(answer.ends_with(b"E_BAD_PROTOCOL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_api_is_nsqds() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let ask = |method: &str, path: &str, body: &[u8]| http(router.http_address(), method, path, body);
    assert_eq!(ask("GET", "/ping", b""), (200, "OK".into()));
    assert_eq!(ask("POST", "/topic/create?topic=orders", b"").0, 200);
    assert_eq!(ask("POST", "/channel/create?topic=orders&channel=ship", b"").0, 200);
    let not_found = (404, r#"{"message":"TOPIC_NOT_FOUND"}"#.to_owned());
    assert_eq!(ask("POST", "/channel/create?topic=nothing&channel=ship", b""), not_found);
    assert_eq!(ask("POST", "/pub?topic=orders", b"one"), (200, "OK".into()));
    assert_eq!(ask("POST", "/mpub?topic=orders", b"two\nthree\n"), (200, "OK".into()));
    assert_eq!(
        ask("POST", "/mpub?topic=orders&binary=true", b"\0\0\0\x01\0\0\0\x04four"),
        (200, "OK".into())
    );
    assert_eq!(ask("POST", "/pub?topic=orders", b""), (400, r#"{"message":"MSG_EMPTY"}"#.into()));
    assert_eq!(ask("POST", "/pub", b"x"), (400, r#"{"message":"MISSING_ARG_TOPIC"}"#.into()));
    assert_eq!(ask("POST", "/pub?topic=a%2Fb", b"x"), (400, r#"{"message":"INVALID_TOPIC"}"#.into()));
    let stats: Value = serde_json::from_str(&ask("GET", "/stats?format=json", b"").1).unwrap();
    let topic = &stats["topics"][0];
    assert_eq!((&topic["topic_name"], &topic["message_count"]), (&"orders".into(), &4.into()));
    assert_eq!(topic["channels"][0]["depth"], 4);

    let peek = |after: &str| -> Value {
        let path = format!("/channel/peek?topic=orders&channel=ship&limit=3{after}");
        serde_json::from_str(&ask("GET", &path, b"").1).unwrap()
    };
    let first = peek("");
    assert_eq!((first["messages"].as_array().unwrap().len(), &first["more"]), (3, &true.into()));
    assert_eq!(first["messages"][0]["body_base64"], "b25l");
    assert_eq!(first["messages"][0]["state"], "ready");
    let rest = peek("&after=2");
    assert_eq!((rest["messages"].as_array().unwrap().len(), &rest["more"]), (1, &false.into()));
    let id = MessageId::from_number(1);
    let path = format!("/channel/finish?topic=orders&channel=ship&id={id}");
    assert_eq!(ask("POST", &path, b"").0, 200);
    assert_eq!(ask("POST", &path, b""), (404, r#"{"message":"MESSAGE_NOT_FOUND"}"#.into()));
    assert_eq!(ask("POST", "/channel/pause?topic=orders&channel=ship", b"").0, 200);
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    assert!(consumer.is_quiet(Duration::from_millis(50)));
    assert_eq!(ask("POST", "/channel/unpause?topic=orders&channel=ship", b"").0, 200);
    assert_eq!(&consumer.message().body[..], b"one");
    assert_eq!(ask("POST", "/channel/empty?topic=orders&channel=ship", b"").0, 200);
    assert_eq!(peek("")["messages"].as_array().unwrap().len(), 0);
    assert_eq!(ask("POST", "/topic/delete?topic=orders", b"").0, 200);
    assert!(consumer.is_closed());
    assert_eq!(ask("POST", "/topic/delete?topic=orders", b""), not_found);
    assert_eq!(ask("GET", "/nothing", b""), (404, r#"{"message":"NOT_FOUND"}"#.into()));
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_router_a_folder_and_no_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let second = Router::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(second, StartError::FolderInUse(_)), "{second}");
    router.shutdown().await.unwrap();
    start(folder.path()).await.shutdown().await.unwrap();
    let mut open = Options::new(folder.path());
    open.tcp_address = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(Router::start(open).await.unwrap_err(), StartError::Remote(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let ask = |address, path: &str| assert_eq!(http(address, "POST", path, b"x").0, 200, "{path}");
    ask(router.http_address(), "/topic/create?topic=orders");
    ask(router.http_address(), "/channel/create?topic=orders&channel=ship");
    ask(router.http_address(), "/topic/pause?topic=orders");
    ask(router.http_address(), "/pub?topic=orders");
    // A copy as a crash would leave it: the journal alone must know it.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    router.shutdown().await.unwrap();
    let folder = copy;
    for _ in 0..2 {
        let router = start(folder.path()).await;
        let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
        assert!(consumer.is_quiet(Duration::from_millis(50)));
        router.shutdown().await.unwrap();
    }
    let router = start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    ask(router.http_address(), "/topic/unpause?topic=orders");
    assert_eq!(&consumer.message().body[..], b"x");
}
