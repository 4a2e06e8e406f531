//! Many consumers of one channel: no message lies there while one of them waits for it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Client, name, start};
use bis_nsq::Command;

const MESSAGES: usize = 500;
/// The longest that anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn each_waiting_consumer_gets_one_of_as_many_messages() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let mut consumers: Vec<Client> =
        (0..50).map(|_| Client::subscribe(address, "orders", "ship", 1)).collect();
    let mut producer = Client::connect(address);
    for number in 0..consumers.len() {
        producer.publish("orders", number.to_string());
    }
    let bodies: HashSet<_> = consumers.iter_mut().map(|consumer| consumer.message().body).collect();
    assert_eq!(bodies.len(), consumers.len());
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_wants_no_more_passes_on_what_it_was_woken_for() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let mut first = Client::subscribe(address, "orders", "ship", 1);
    assert!(first.is_quiet(Duration::from_millis(50)), "it waits in front");
    let mut second = Client::subscribe(address, "orders", "ship", 1);
    assert!(second.is_quiet(Duration::from_millis(50)));
    first.send(&Command::Ready(0));
    assert!(first.is_quiet(Duration::from_millis(50)), "it still stands in front");
    let mut producer = Client::connect(address);
    producer.publish("orders", "one");
    assert_eq!(&second.message().body[..], b"one");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_consumer_held_goes_to_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let mut first = Client::subscribe(address, "orders", "ship", 1);
    let mut producer = Client::connect(address);
    producer.publish("orders", "one");
    let held = first.message();
    let mut second = Client::subscribe(address, "orders", "ship", 1);
    assert!(second.is_quiet(Duration::from_millis(50)));
    drop(first);
    assert_eq!(second.message().body, held.body);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_goes_leaves_the_rest_to_those_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let mut going = Client::subscribe(address, "orders", "ship", 100);
    let mut staying = Client::subscribe(address, "orders", "ship", 100);
    let mut producer = Client::connect(address);
    let later = Duration::from_millis(300);
    for number in 0..20 {
        let body = number.to_string().into();
        producer.send(&Command::DeferredPublish { topic: name("orders"), delay: later, body });
        assert_eq!(producer.response(), "OK");
    }
    going.send(&Command::Close);
    assert_eq!(going.response(), "CLOSE_WAIT");
    let began = Instant::now();
    for _ in 0..20 {
        let message = staying.message();
        staying.finish(&message);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "they came after {:?}", began.elapsed());
    router.shutdown().await.unwrap();
}

/// A consumer of changing readiness that now and then closes, or goes without a word, and comes back.
fn consume(address: SocketAddr, number: u64, finished: &Mutex<HashSet<Vec<u8>>>) {
    let mut random = number + 1;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let began = Instant::now();
    while finished.lock().unwrap().len() < MESSAGES {
        assert!(began.elapsed() < PATIENCE, "messages lie there and nobody gets them");
        let mut client = Client::subscribe(address, "orders", "ship", 1 + below(3) as u32);
        for _ in 0..1 + below(80) {
            if client.is_quiet_so_far(Duration::from_millis(20)) {
                client.send(&Command::Ready(below(3) as u32));
                continue;
            }
            let message = client.message();
            match below(12) {
                0 => {
                    client.send(&Command::Requeue { id: message.id, delay: Duration::from_millis(below(40)) })
                }
                1 => client.send(&Command::Ready(below(3) as u32)),
                _ => {
                    client.finish(&message);
                    finished.lock().unwrap().insert(message.body.to_vec());
                }
            }
        }
        if below(2) == 0 {
            client.send(&Command::Close);
        }
    }
}

#[test]
fn consumers_that_come_and_go_forget_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let router = runtime.block_on(start(folder.path()));
    let address = router.tcp_address();
    let finished = Arc::new(Mutex::new(HashSet::new()));
    std::thread::scope(|scope| {
        for number in 0..12 {
            let finished = Arc::clone(&finished);
            scope.spawn(move || consume(address, number, &finished));
        }
        let mut producer = Client::connect(address);
        for number in 0..MESSAGES {
            let body = number.to_string();
            if number % 5 == 0 {
                let delay = Duration::from_millis(number as u64 % 60);
                producer.send(&Command::DeferredPublish { topic: name("orders"), delay, body: body.into() });
                assert_eq!(producer.response(), "OK");
            } else {
                producer.publish("orders", body);
            }
        }
    });
    runtime.block_on(router.shutdown()).unwrap();
}
