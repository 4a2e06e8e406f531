//! What clients see of the router and not of nsqd. What both do is in `tests/nsqd`.

use std::time::Duration;

use crate::support::{Client, http, name, options, start};
use bis_nsq::{Command, Extension, Identify, IdentifyReply, MessageId};
use bis_router::{OpenError, Options, Router, StartError};
use serde_json::Value;

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
    consumer.send(&Command::Release { id: first.id, delay: None });
    let released = consumer.message();
    assert_eq!(released.attempts, 1, "a release is not counted");
    // A client of Bis that says nothing has vanished: the message is a suspect first, and then collects attempts.
    for attempts in [1, 2] {
        assert_eq!(consumer.message().attempts, attempts);
    }
    let (_, stats) = http(router.http_address(), "GET", "/stats?format=json", b"");
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["topics"][0]["channels"][0]["timeout_count"], 2);
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
async fn messages_are_peeked_at_and_finished_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let ask = |method: &str, path: &str, body: &[u8]| http(router.http_address(), method, path, body);
    assert_eq!(ask("POST", "/topic/create?topic=orders", b"").0, 200);
    assert_eq!(ask("POST", "/channel/create?topic=orders&channel=ship", b"").0, 200);
    assert_eq!(ask("POST", "/mpub?topic=orders", b"one\ntwo\nthree\nfour\n"), (200, "OK".into()));
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
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    assert_eq!(&consumer.message().body[..], b"one");
    assert_eq!(ask("POST", "/channel/empty?topic=orders&channel=ship", b"").0, 200);
    assert_eq!(peek("")["messages"].as_array().unwrap().len(), 0);
    assert_eq!(ask("POST", "/topic/delete?topic=orders", b"").0, 200);
    assert!(consumer.is_closed());
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_router_a_folder_and_no_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let second = Router::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(second, StartError::Journal(OpenError::FolderInUse(_))), "{second}");
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
