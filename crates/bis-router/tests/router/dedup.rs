//! An event that is published again under its id is answered and not stored a second time, also after a restart.

use std::time::Duration;

use crate::support::{Client, name, options, start};
use bis_nsq::{Command, Headers};
use bis_router::Router;

fn publish(client: &mut Client, topic: &str, event: u8, body: &str) {
    let headers = Headers { event: Some([event; 16]), ..Headers::default() };
    client.send(&Command::HeadedPublish { topic: name(topic), headers, body: body.to_owned().into() });
    assert_eq!(client.response(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    let mut producer = Client::connect_extended(router.tcp_address());
    for _ in 0..3 {
        publish(&mut producer, "orders", 1, "one");
    }
    publish(&mut producer, "orders", 2, "two");
    publish(&mut producer, "returns", 1, "another topic's");
    // Without an id nobody can tell.
    producer.publish("orders", "three");
    producer.publish("orders", "three");
    for expected in ["one", "two", "three", "three"] {
        let message = consumer.message();
        assert_eq!(&message.body[..], expected.as_bytes());
        consumer.finish(&message);
    }
    assert!(consumer.is_quiet_so_far(Duration::from_millis(100)));
    drop((producer, consumer));
    router.shutdown().await.unwrap();

    let router = start(folder.path()).await;
    let mut producer = Client::connect_extended(router.tcp_address());
    publish(&mut producer, "orders", 2, "two");
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
    assert!(consumer.is_quiet_so_far(Duration::from_millis(100)), "the window survives a restart");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_is_bounded_and_can_be_turned_off() {
    for (window, comes_again) in [(2, false), (1, true), (0, true)] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        options.journal.dedup_window = window;
        let router = Router::start(options).await.unwrap();
        let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 10);
        let mut producer = Client::connect_extended(router.tcp_address());
        for event in [1, 2, 1] {
            publish(&mut producer, "orders", event, "body");
        }
        for _ in 0..2 {
            consumer.message();
        }
        assert_eq!(
            !consumer.is_quiet_so_far(Duration::from_millis(100)),
            comes_again,
            "a window of {window}"
        );
        router.shutdown().await.unwrap();
    }
}

/// A receipt is for those who ask for one. It says where the message is, and where its event was before; after a restart the
/// place of an event that the checkpoint alone remembers is not known.
#[tokio::test(flavor = "multi_thread")]
async fn a_publish_is_answered_with_a_receipt_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut producer = Client::connect_extended(router.tcp_address());
    let mut send = |event: Option<u8>, wants_receipt| {
        let event = event.map(|event| [event; 16]);
        let headers = Headers { event, wants_receipt, ..Headers::default() };
        let body = "body".to_owned().into();
        producer.send(&Command::HeadedPublish { topic: name("orders"), headers, body });
    };
    // All of it before the first answer.
    let sent =
        [(Some(1), true), (None, true), (Some(1), false), (Some(1), true), (Some(2), true), (None, false)];
    sent.into_iter().for_each(|(event, wants_receipt)| send(event, wants_receipt));
    for expected in ["OK 0", "OK 1", "OK", "OK 0 duplicate", "OK 2", "OK"] {
        assert_eq!(producer.response(), expected);
    }
    drop(producer);
    router.shutdown().await.unwrap();

    let router = start(folder.path()).await;
    let mut producer = Client::connect_extended(router.tcp_address());
    for (event, expected) in [(1, "OK duplicate"), (3, "OK 4"), (3, "OK 4 duplicate")] {
        let headers = Headers { event: Some([event; 16]), wants_receipt: true, ..Headers::default() };
        producer.send(&Command::HeadedPublish {
            topic: name("orders"),
            headers,
            body: "body".to_owned().into(),
        });
        assert_eq!(producer.response(), expected);
    }
    router.shutdown().await.unwrap();
}
