//! Clients of Bis that vanish: what they had comes back as suspects, unless their process shows that it lives; a message that was
//! blamed is out alone; and what became of a message before is told with it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Client, http, start};
use bis_nsq::{Command, Extension, History, Identify, Message};

const QUIET: Duration = Duration::from_millis(200);

/// A consumer of a process that knows all of the extension.
fn consume(address: SocketAddr, process: &str, topic: &str, ready: u32) -> Client {
    let mut client = Client::connect(address);
    let bis = Some(Extension::ask_of(process));
    let ask = Identify { feature_negotiation: true, bis, ..Identify::default() };
    client.send(&Command::Identify(ask.to_json().into()));
    client.response();
    let topic = crate::support::name(topic);
    client.send(&Command::Subscribe { topic, channel: crate::support::name("ship"), ordered: false });
    assert_eq!(client.response(), "OK");
    client.send(&Command::Ready(ready));
    client
}

fn publish(address: SocketAddr, topic: &str, count: usize) {
    let mut producer = Client::connect(address);
    (0..count).for_each(|number| producer.publish(topic, number.to_string()));
}

fn take(client: &mut Client, count: usize) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count).map(|_| client.message()).collect();
    messages.sort_by(|one, other| one.body.cmp(&other.body));
    messages
}

/// Waits until the router has noticed what its channel of the topic should show.
fn wait_until(address: SocketAddr, topic: &str, is_noticed: impl Fn(&serde_json::Value) -> bool) {
    loop {
        let stats = http::get(address, "/stats?format=json").json();
        let mut topics = stats["topics"].as_array().unwrap().iter();
        let topic = topics.find(|one| one["topic_name"] == topic).unwrap();
        if is_noticed(&topic["channels"][0]) {
            return;
        }
        std::thread::yield_now();
    }
}

fn wait_until_consumers_are(address: SocketAddr, topic: &str, count: usize) {
    wait_until(address, topic, |channel| {
        channel["clients"].as_array().map_or(0, |clients| clients.len()) == count
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_connects_again_has_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let (tcp, web) = (router.tcp_address(), router.http_address());
    let mut consumer = consume(tcp, "one", "orders", 10);
    publish(tcp, "orders", 5);
    take(&mut consumer, 5);
    drop(consumer);
    wait_until_consumers_are(web, "orders", 0);
    let mut other = consume(tcp, "two", "orders", 10);
    let suspect = other.message();
    assert_eq!((suspect.attempts, suspect.history.is_suspect), (1, true));
    assert!(other.is_quiet(QUIET), "one at a time, as nobody knows whether the first process died");
    let mut again = consume(tcp, "one", "orders", 10);
    // Whichever consumer gets them, they are not suspects.
    let mut left = 4;
    while left > 0 {
        for client in [&mut again, &mut other] {
            if !client.is_quiet_so_far(Duration::from_millis(20)) {
                let message = client.message();
                assert_eq!((message.attempts, message.history), (1, History::default()));
                left -= 1;
            }
        }
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_told_and_survive_a_restart_which_adds_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut router = start(folder.path()).await;
    drop(consume(router.tcp_address(), "none", "orders", 0));
    publish(router.tcp_address(), "orders", 1);
    for crashes in 0..4 {
        let mut consumer = consume(router.tcp_address(), &format!("process {crashes}"), "orders", 10);
        let message = consumer.message();
        let blamed = u16::try_from(crashes).unwrap().saturating_sub(1);
        let history = History { crashes: blamed, is_suspect: crashes > 0, generation: 0 };
        assert_eq!((message.attempts, message.history), (blamed + 1, history));
        drop(consumer);
        wait_until_consumers_are(router.http_address(), "orders", 0);
        if crashes % 2 == 1 {
            // A stop of the router ends consumers too, and says nothing about what they hold.
            let mut held = consume(router.tcp_address(), "stopped", "orders", 10);
            held.message();
            router.shutdown().await.unwrap();
            router = start(folder.path()).await;
        }
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_gets_nothing_beside_a_suspect_that_was_blamed() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let (tcp, web) = (router.tcp_address(), router.http_address());
    drop(consume(tcp, "none", "orders", 0));
    drop(consume(tcp, "none", "notes", 0));
    publish(tcp, "orders", 1);
    for process in ["one", "two"] {
        consume(tcp, process, "orders", 10).message();
        wait_until_consumers_are(web, "orders", 0);
    }
    let mut orders = consume(tcp, "three", "orders", 10);
    let mut notes = consume(tcp, "three", "notes", 10);
    let blamed = orders.message();
    assert_eq!(blamed.history.crashes, 1);
    publish(tcp, "orders", 1);
    publish(tcp, "notes", 1);
    assert!(orders.is_quiet(QUIET) && notes.is_quiet(QUIET));
    assert_eq!(consume(tcp, "four", "notes", 10).message().attempts, 1, "another process is not held up");
    wait_until_consumers_are(web, "notes", 1);
    orders.finish(&blamed);
    assert_eq!(orders.message().attempts, 1);
    assert_eq!(notes.message().attempts, 1);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_a_generation_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut router = start(folder.path()).await;
    drop(consume(router.tcp_address(), "none", "orders", 0));
    publish(router.tcp_address(), "orders", 3);
    for generation in 0..4 {
        let (tcp, web) = (router.tcp_address(), router.http_address());
        let mut consumer = consume(tcp, &format!("process {generation}"), "orders", 10);
        for message in take(&mut consumer, 3) {
            assert_eq!((message.attempts, message.history.generation), (1, generation));
            consumer.finish(&message);
        }
        wait_until(web, "orders", |channel| channel["in_flight_count"] == 0);
        drop(consumer);
        wait_until_consumers_are(web, "orders", 0);
        let path = "/channel/replay?topic=orders&channel=ship&from=0";
        assert_eq!(http::post(web, path, b"").status, 200);
        if generation % 2 == 0 {
            router.shutdown().await.unwrap();
            router = start(folder.path()).await;
        }
    }
    // A client that knows nothing of it gets what it always got.
    let mut plain = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    assert_eq!(plain.message().history, History::default());
    router.shutdown().await.unwrap();
}
