//! The bound on what is not handled: publishes are refused until consumers catch up, or the oldest messages dropped.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use bis_nsq::{Command, Frame};
use bis_router::{Backlog, BacklogPolicy, Handle, Router};
use support::{Client, http, name, options};

const BODY_BYTES: usize = 1000;
/// Far more than the bound allows.
const MANY: usize = 2000;

async fn start(folder: &std::path::Path, policy: BacklogPolicy) -> Handle {
    let mut options = options(folder);
    options.segment_bytes = 64 * 1024;
    options.backlog = Backlog { bytes: Some(256 * 1024), policy };
    Router::start(options).await.unwrap()
}

/// Publishes a numbered message; the error's text when it is refused, which ends the connection.
fn publish(client: &mut Client, number: usize) -> Result<(), String> {
    let body = format!("{number:0BODY_BYTES$}").into();
    client.send(&Command::Publish { topic: name("orders"), body });
    match client.try_frame() {
        Some(Frame::Response(_)) => Ok(()),
        Some(Frame::Error(text)) => Err(String::from_utf8(text.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_refuses_until_consumers_catch_up() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), BacklogPolicy::Refuse).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    let mut producer = Client::connect(router.tcp_address());
    let mut taken = 0;
    let refusal = loop {
        match publish(&mut producer, taken) {
            Ok(()) => taken += 1,
            Err(text) => break text,
        }
        assert!(taken < MANY, "nothing was refused");
    };
    let text =
        "E_PUB_FAILED PUB failed backlog over 262144 bytes; let consumers catch up, or raise the bound";
    assert_eq!(refusal, text);
    consumer.send(&Command::Ready(100));
    for _ in 0..taken {
        let message = consumer.message();
        consumer.finish(&message);
    }
    // The last finish may still be on its way.
    let again = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        publish(&mut Client::connect(router.tcp_address()), taken).is_ok()
    });
    assert!(again, "publishes are still refused");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_are_dropped_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), BacklogPolicy::DropOldest).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    let mut producer = Client::connect(router.tcp_address());
    for number in 0..MANY {
        publish(&mut producer, number).unwrap();
    }
    let (_, stats) = http(router.http_address(), "GET", "/stats?format=json", &[]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let dropped = stats["bis"]["dropped"].as_u64().unwrap() as usize;
    assert!(dropped > MANY / 2 && dropped < MANY, "{dropped} were dropped");
    consumer.send(&Command::Ready(100));
    for number in dropped..MANY {
        let message = consumer.message();
        assert_eq!(String::from_utf8(message.body.to_vec()).unwrap().parse::<usize>().unwrap(), number);
        consumer.finish(&message);
    }
    drop((producer, consumer));
    router.shutdown().await.unwrap();
    let router = start(folder.path(), BacklogPolicy::DropOldest).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    assert!(consumer.is_quiet(std::time::Duration::from_millis(100)), "dropped is dropped");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_are_dropped_of_what_a_paused_topic_holds() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), BacklogPolicy::DropOldest).await;
    let order = |router: &Handle, path: &str| {
        assert_eq!(http(router.http_address(), "POST", path, &[]).0, 200, "{path}");
    };
    order(&router, "/topic/create?topic=orders");
    order(&router, "/channel/create?topic=orders&channel=ship");
    order(&router, "/topic/pause?topic=orders");
    let mut producer = Client::connect(router.tcp_address());
    for number in 0..MANY {
        publish(&mut producer, number).unwrap();
    }
    let (_, stats) = http(router.http_address(), "GET", "/stats?format=json", &[]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let dropped = stats["bis"]["dropped"].as_u64().unwrap() as usize;
    assert!(dropped > MANY / 2 && dropped < MANY, "{dropped} were dropped");
    drop(producer);
    router.shutdown().await.unwrap();

    let router = start(folder.path(), BacklogPolicy::DropOldest).await;
    let mut consumers =
        ["ship", "late"].map(|channel| Client::subscribe(router.tcp_address(), "orders", channel, 100));
    order(&router, "/topic/unpause?topic=orders");
    for consumer in &mut consumers {
        for number in dropped..MANY {
            let message = consumer.message();
            assert_eq!(String::from_utf8(message.body.to_vec()).unwrap().parse::<usize>().unwrap(), number);
            consumer.finish(&message);
        }
    }
    router.shutdown().await.unwrap();
}
