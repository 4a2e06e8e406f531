//! A topic's own retention: what was handled can be replayed for so long and no longer, whatever the router's own is, and across
//! restarts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Client, http, name, options};
use bis_nsq::Command;
use bis_router::{Handle, Router};

const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3600);

/// A router that itself keeps nothing that was handled, in small segments.
async fn start_forgetful(folder: &Path) -> Handle {
    let mut options = options(folder);
    (options.journal.segment_bytes, options.journal.retention) = (16 * 1024, Duration::ZERO);
    Router::start(options).await.unwrap()
}

fn retain(address: SocketAddr, topic: &str, max_age: Duration, max_bytes: u64) {
    let mut client = Client::connect_extended(address);
    client.send(&Command::Retain { topic: name(topic), max_age, max_bytes });
    assert_eq!(client.response(), "OK");
}

/// Publishes this many messages of 500 bytes and handles them all.
fn handle(router: &Handle, topic: &str, count: usize) {
    let mut consumer = Client::subscribe(router.tcp_address(), topic, "ship", 100);
    let mut producer = Client::connect(router.tcp_address());
    (0..count).for_each(|_| producer.publish(topic, "x".repeat(500)));
    (0..count).for_each(|_| drop(consumer.message_finished()));
    let in_flight = || {
        let stats = http::get(router.http_address(), "/stats?format=json").json();
        let mut topics = stats["topics"].as_array().unwrap().iter();
        let topic = topics.find(|one| one["topic_name"] == topic).unwrap();
        topic["channels"][0]["in_flight_count"].as_u64().unwrap()
    };
    while in_flight() > 0 {
        std::thread::yield_now();
    }
}

/// How many come again when everything is to.
fn replayed(router: &Handle, topic: &str) -> u64 {
    let path = format!("/channel/replay?topic={topic}&channel=ship&from=0");
    let answer = http::post(router.http_address(), &path, b"");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["messages"].as_u64().unwrap()
}

fn sealed_bytes(router: &Handle) -> u64 {
    let page = http::get(router.http_address(), "/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix("bis_router_journal_sealed_bytes "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_asks_for_is_kept_beyond_what_the_router_keeps_and_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut router = start_forgetful(folder.path()).await;
    retain(router.tcp_address(), "orders", LONG, u64::MAX);
    handle(&router, "orders", 200);
    handle(&router, "notes", 200);
    for _ in 0..2 {
        router.shutdown().await.unwrap();
        router = start_forgetful(folder.path()).await;
        // What only the other topic has is removed with the next segment that is sealed.
        let mut rounds = 0;
        while sealed_bytes(&router) > 200 * 900 || rounds == 0 {
            assert!(rounds < 50, "segments that nobody asked for stay");
            handle(&router, "notes", 40);
            rounds += 1;
        }
        assert_eq!(replayed(&router, "orders"), 200);
        let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 500);
        (0..200).for_each(|_| drop(consumer.message_finished()));
    }
    assert!(replayed(&router, "notes") < 100);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_a_topic_asks_for_is_not_replayed_and_what_waits_is_never_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(options(folder.path())).await.unwrap();
    retain(router.tcp_address(), "orders", SHORT, u64::MAX);
    let began = Instant::now();
    handle(&router, "orders", 3);
    let kept = replayed(&router, "orders");
    assert!(kept == 3 || began.elapsed() >= SHORT, "{kept} are kept");
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    (0..kept).for_each(|_| drop(consumer.message_finished()));
    drop(consumer);
    // It has its first turn yet to come, and waits however old it is.
    Client::connect(router.tcp_address()).publish("orders", "waits");
    // Nothing but time makes them old.
    std::thread::sleep(SHORT);
    assert_eq!(replayed(&router, "orders"), 1);
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    assert_eq!(&consumer.message_finished().body[..], b"waits");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_bytes_come_again_than_about_what_a_topic_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(options(folder.path())).await.unwrap();
    retain(router.tcp_address(), "orders", LONG, 20_000);
    handle(&router, "orders", 200);
    let count = replayed(&router, "orders");
    assert!((20..=40).contains(&count), "{count} of 500 bytes each");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_did_not_ask_for_the_extension_cannot_retain() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(options(folder.path())).await.unwrap();
    let mut client = Client::connect(router.tcp_address());
    client.send(&Command::Retain { topic: name("orders"), max_age: LONG, max_bytes: 1 });
    client.ends_with("E_INVALID invalid command RETAIN");
    router.shutdown().await.unwrap();
}
