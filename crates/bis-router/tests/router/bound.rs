//! The bound on what is not handled: publishes are refused until consumers catch up, or the oldest messages dropped.

use crate::support::{Client, http, name, options};
use bis_nsq::{Command, Frame, Headers};
use bis_router::{Backlog, BacklogPolicy, Handle, Router};

const BODY_BYTES: usize = 1000;
/// Far more than the bound allows.
const MANY: usize = 2000;

async fn start(folder: &std::path::Path, policy: BacklogPolicy) -> Handle {
    let mut options = options(folder);
    options.journal.segment_bytes = 64 * 1024;
    options.journal.backlog = Backlog { bytes: Some(256 * 1024), policy };
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

/// Publishes as a handler does that settles another message then; the error's text when it is refused.
fn publish_from_handler(client: &mut Client, topic: &str, body: &[u8]) -> Result<(), String> {
    let headers = Headers { is_from_handler: true, ..Headers::default() };
    client.send(&Command::HeadedPublish { topic: name(topic), headers, body: body.to_vec().into() });
    match client.try_frame() {
        Some(Frame::Response(_)) => Ok(()),
        Some(Frame::Error(text)) => Err(String::from_utf8(text.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Publishes until that is refused; how many were taken.
fn fill(router: &Handle) -> usize {
    let mut producer = Client::connect(router.tcp_address());
    (0..MANY).take_while(|number| publish(&mut producer, *number).is_ok()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_publish_or_fail_drain_a_full_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), BacklogPolicy::Refuse).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    let mut next = Client::subscribe(router.tcp_address(), "shipped", "notify", 100);
    let taken = fill(&router);
    assert!(taken > 200 && taken < MANY, "{taken}");
    consumer.send(&Command::Ready(10));
    // Its publishes go through a connection that does not consume, as a Bis app's do.
    let mut producer = Client::connect_extended(router.tcp_address());
    for number in 0..taken {
        let message = consumer.message();
        let topic = if number % 2 == 0 { "shipped" } else { "bis.dead" };
        publish_from_handler(&mut producer, topic, &message.body).unwrap();
        consumer.finish(&message);
        if number % 2 == 0 {
            let message = next.message();
            next.finish(&message);
        }
        let other = publish(&mut Client::connect(router.tcp_address()), 0);
        assert!(number > 20 || other.is_err(), "others are refused meanwhile");
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_any_client_have_the_reserve_and_it_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), BacklogPolicy::Refuse).await;
    let _consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    assert!(fill(&router) < MANY);
    let letter = vec![b'x'; BODY_BYTES];
    let keep =
        |topic: &str| http(router.http_address(), "POST", &format!("/pub?topic={topic}"), &letter).0 == 200;
    assert!(keep("bis.dead") && keep("staging_bis.dead") && !keep("orders"));
    let kept = (0..MANY).take_while(|_| keep("bis.dead")).count();
    assert!(kept > 200 && kept < 600, "{kept} letters were kept in a reserve of 256 KiB");
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
