//! What a client has sent before a stop is carried out, though the router had not read it yet; and what was to go with
//! its last client is gone after it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Client, http, name, start};
use bis_nsq::Command;

/// The messages of one round.
const MESSAGES: usize = 1500;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_finished_before_a_stop_does_not_come_again() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let router = start(folder.path()).await;
        let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 2500);
        let mut producer = Client::connect(router.tcp_address());
        let bodies = (0..MESSAGES).map(|at| at.to_string()).collect();
        producer.send(&Command::MultiPublish { topic: name("orders"), bodies });
        assert_eq!(producer.response(), "OK");
        let messages: Vec<_> = (0..MESSAGES).map(|_| consumer.message()).collect();
        for message in &messages {
            consumer.finish(message);
        }
        // Nothing was waited for: many of these are unread when the stop begins.
        router.shutdown().await.unwrap();
        let router = start(folder.path()).await;
        let mut producer = Client::connect(router.tcp_address());
        producer.publish("orders", "after");
        let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
        assert_eq!(&consumer.message().body[..], b"after", "nothing older comes again");
        router.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_who_has_said_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let _silent = TcpStream::connect(router.tcp_address()).unwrap();
    // It is accepted before this one.
    Client::connect(router.tcp_address()).publish("orders", "one");
    let started = Instant::now();
    router.shutdown().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ephemeral_is_gone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    for path in [
        "/topic/create?topic=orders",
        "/channel/create?topic=orders&channel=ship",
        "/channel/create?topic=orders&channel=tail%23ephemeral",
        "/topic/create?topic=short%23ephemeral",
    ] {
        assert_eq!(http::post(router.http_address(), path, b"").status, 200, "{path}");
    }
    router.shutdown().await.unwrap();
    for _ in 0..2 {
        let router = start(folder.path()).await;
        let stats = http::get(router.http_address(), "/stats?format=json").json();
        let topics = stats["topics"].as_array().unwrap();
        assert_eq!((topics.len(), &topics[0]["topic_name"]), (1, &"orders".into()));
        let channels = topics[0]["channels"].as_array().unwrap();
        assert_eq!((channels.len(), &channels[0]["channel_name"]), (1, &"ship".into()));
        router.shutdown().await.unwrap();
    }
}
