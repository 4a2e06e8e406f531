//! Order by key over the wire: one message of a key at a time, for those who ask for it, and after a kill too.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::process::Kind;
use crate::support::{Client, name};
use bis_nsq::{Command, Headers};

const QUIET: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_key_come_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut consumer = Client::subscribe_ordered(router.tcp_address(), "orders", "ship", 10);
    let mut producer = Client::connect_extended(router.tcp_address());
    for (key, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
        producer.publish_keyed("orders", key, body);
    }
    producer.publish("orders", "none");
    let first = consumer.message();
    assert_eq!(
        [&first.body[..], &consumer.message().body, &consumer.message().body],
        [&b"a1"[..], b"b1", b"none"]
    );
    assert!(consumer.is_quiet(QUIET), "a2 waits for a1");
    consumer.send(&Command::Requeue { id: first.id, delay: Duration::from_millis(200) });
    assert!(consumer.is_quiet(QUIET), "a2 waits for a1 while a1 waits for its time");
    for expected in ["a1", "a2", "a3"] {
        let message = consumer.message();
        assert_eq!(message.body, expected);
        assert!(consumer.is_quiet(QUIET));
        consumer.finish(&message);
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_over_http_too() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut consumer = Client::subscribe_ordered(router.tcp_address(), "orders", "ship", 10);
    Client::connect_extended(router.tcp_address()).publish_keyed("orders", "a b", "1");
    let answer = crate::support::http(router.http_address(), "POST", "/pub?topic=orders&key=a%20b", b"2");
    assert_eq!(answer, (200, "OK".into()));
    let first = consumer.message();
    assert_eq!(first.body, "1");
    assert!(consumer.is_quiet(QUIET));
    consumer.finish(&first);
    assert_eq!(consumer.message().body, "2");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_hold_nobody_up_who_did_not_ask_for_order() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut ordered = Client::subscribe_ordered(router.tcp_address(), "orders", "ship", 10);
    let mut plain = Client::subscribe(router.tcp_address(), "orders", "count", 10);
    let mut producer = Client::connect_extended(router.tcp_address());
    for body in ["1", "2", "3"] {
        producer.publish_keyed("orders", "a", body);
    }
    for expected in ["1", "2", "3"] {
        assert_eq!(plain.message().body, expected);
    }
    assert_eq!(ordered.message().body, "1");
    assert!(ordered.is_quiet(QUIET));
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_of_a_channel_share_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut plain = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    let mut ordered = Client::subscribe_ordered(router.tcp_address(), "orders", "ship", 1);
    let mut producer = Client::connect_extended(router.tcp_address());
    producer.publish_keyed("orders", "a", "1");
    producer.publish_keyed("orders", "a", "2");
    let first = ordered.message();
    plain.send(&Command::Ready(1));
    assert!(plain.is_quiet(QUIET), "who did not ask gets the order of who did");
    drop(ordered);
    assert_eq!(plain.message().body, first.body, "it comes again before its successor");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_with_headers_comes_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut consumer = Client::subscribe_ordered(router.tcp_address(), "orders", "ship", 10);
    let mut producer = Client::connect_extended(router.tcp_address());
    let headers = Headers {
        key: Some("a".into()),
        delay: Duration::from_millis(300),
        event: Some([7; 16]),
        ..Headers::default()
    };
    producer.send(&Command::HeadedPublish { topic: name("orders"), headers, body: "later".into() });
    assert_eq!(producer.response(), "OK");
    producer.publish_keyed("orders", "a", "now");
    let now = consumer.message();
    assert_eq!(now.body, "now", "a delayed message holds nobody up before its time");
    consumer.finish(&now);
    assert!(consumer.is_quiet(QUIET));
    assert_eq!(consumer.message().body, "later");
    router.shutdown().await.unwrap();
}

/// Body `<key>-<number>`: each key's numbers must come in order, across kills, with some given back on the way.
#[test]
fn order_survives_kill_9() {
    const KEYS: usize = 5;
    const EACH: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let (mut router, address) = crate::support::process::start(Kind::Small, folder.path());
    let mut producer = Client::connect_extended(address);
    drop(Client::subscribe_ordered(address, "orders", "ship", 0));
    for number in 0..EACH {
        for key in 0..KEYS {
            producer.publish_keyed("orders", &key.to_string(), format!("{key}-{number}"));
        }
    }
    let mut handled_of: HashMap<String, usize> = HashMap::new();
    let mut total = 0;
    for round in 1..=3 {
        router.kill().unwrap();
        router.wait().unwrap();
        let (next, address) = crate::support::process::start(Kind::Small, folder.path());
        router = next;
        let mut consumer = Client::subscribe_ordered(address, "orders", "ship", 50);
        let mut next_of: HashMap<String, usize> = HashMap::new();
        let mut handled = 0;
        let share = if round == 3 { KEYS * EACH - total } else { KEYS * EACH / 3 };
        while handled < share {
            let message = consumer.message();
            let body = String::from_utf8(message.body.to_vec()).unwrap();
            let (key, number) = body.split_once('-').unwrap();
            let number: usize = number.parse().unwrap();
            let done = handled_of.entry(key.to_owned()).or_default();
            // What was finished just before the kill may come again, and then in its order too.
            let next = next_of.entry(key.to_owned()).or_insert(number);
            assert!(
                number == *next && number <= *done,
                "{body} in round {round}: {next} is next, {done} is new"
            );
            if number % 7 == 3 && message.attempts == 1 {
                consumer.send(&Command::Requeue { id: message.id, delay: Duration::from_millis(20) });
                continue;
            }
            *next += 1;
            if number == *done {
                *done += 1;
                handled += 1;
            }
            consumer.finish(&message);
        }
        total += handled;
    }
    assert_eq!(total, KEYS * EACH);
    router.kill().unwrap();
    router.wait().unwrap();
}
