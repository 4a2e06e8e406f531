//! Space is given back though one message lives long: it moves on, and is delivered once, whatever happens in between.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::process::Kind;
use crate::support::{Client, http, name, options};
use bis_nsq::{Command, Message};
use bis_router::{Handle, Options, Router};

const SEGMENT_BYTES: u64 = 256 * 1024;
const KEPT_SEGMENTS: u64 = 3;
const QUIET: Duration = Duration::from_millis(200);

fn small_segments(folder: &Path) -> Options {
    let mut options = options(folder);
    options.journal.segment_bytes = SEGMENT_BYTES;
    options.journal.retention_bytes = KEPT_SEGMENTS * SEGMENT_BYTES;
    options
}

fn segments(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut segments: Vec<String> = names.filter(|name| name.ends_with(".segment")).collect();
    segments.sort();
    segments
}

/// Publishes and finishes a fraction of a segment's worth of messages.
fn work(router: &Handle, consumer: &mut Client) {
    work_on(&mut Client::connect(router.tcp_address()), consumer);
}

fn work_on(producer: &mut Client, consumer: &mut Client) {
    for _ in 0..8 {
        producer.publish("work", vec![b'x'; 4096]);
        assert_eq!(consumer.message_finished().body[0], b'x');
    }
}

/// Works until these segments are gone, all but the newest few.
fn work_until_gone(router: &Handle, folder: &Path, consumer: &mut Client, old: &[String]) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = segments(folder);
        if old.iter().all(|segment| !left.contains(segment)) {
            return;
        }
        assert!(Instant::now() < until, "of {old:?} there are still {left:?}");
        work(router, consumer);
    }
}

fn moved(router: &Handle) -> u64 {
    let page = http(router.http_address(), "GET", "/metrics", b"").1;
    let line = page.lines().find(|line| line.starts_with("bis_router_journal_moved_messages")).unwrap();
    line.split_whitespace().next_back().unwrap().parse().unwrap()
}

/// A message of each kind of long life: one put off, one that nobody takes, one in a topic without a channel.
fn publish_long_lived(router: &Handle, due: Duration) {
    for (topic, channel) in [("work", "all"), ("slow", "sleeper")] {
        http(router.http_address(), "POST", &format!("/topic/create?topic={topic}"), b"");
        let create = format!("/channel/create?topic={topic}&channel={channel}");
        assert_eq!(http(router.http_address(), "POST", &create, b"").0, 200);
    }
    let mut producer = Client::connect(router.tcp_address());
    producer.send(&Command::DeferredPublish {
        topic: name("work"),
        delay: due,
        body: b"put off".as_slice().into(),
    });
    assert_eq!(producer.response(), "OK");
    producer.publish("slow", "not taken");
    producer.publish("alone", "no channel");
}

fn one(router: &Handle, topic: &str, channel: &str) -> Message {
    let mut consumer = Client::subscribe(router.tcp_address(), topic, channel, 1);
    let message = consumer.message();
    consumer.finish(&message);
    assert!(consumer.is_quiet(QUIET), "`{topic}` has more than one message");
    consumer.send(&Command::Close);
    assert_eq!(consumer.response(), "CLOSE_WAIT");
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lived_message_does_not_keep_its_segment() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "work", "all", 64);
    work(&router, &mut consumer);
    let (began, due) = (Instant::now(), Duration::from_secs(15));
    publish_long_lived(&router, due);
    for _ in 0..3 {
        let old = segments(folder.path());
        work_until_gone(&router, folder.path(), &mut consumer, &old);
    }
    assert_eq!(moved(&router), 3);
    assert!(segments(folder.path()).len() as u64 <= 2 * KEPT_SEGMENTS + 2, "{:?}", segments(folder.path()));
    drop(consumer);
    router.shutdown().await.unwrap();

    let router = Router::start(small_segments(folder.path())).await.unwrap();
    assert!(router.damage().is_empty());
    assert_eq!(moved(&router), 3, "after a restart");
    assert_eq!(one(&router, "slow", "sleeper").body, b"not taken".as_slice());
    assert_eq!(one(&router, "alone", "first").body, b"no channel".as_slice());
    let message = one(&router, "work", "all");
    assert_eq!(message.body, b"put off".as_slice());
    assert_eq!(message.attempts, 1);
    let waited = began.elapsed();
    assert!(waited >= due && waited < due + Duration::from_secs(30), "it came after {waited:?}");

    // Handled copies are forgotten, and their segments go.
    let old = segments(folder.path());
    let mut consumer = Client::subscribe(router.tcp_address(), "work", "all", 64);
    work_until_gone(&router, folder.path(), &mut consumer, &old);
    let until = Instant::now() + Duration::from_secs(20);
    while moved(&router) > 0 {
        assert!(Instant::now() < until, "copies are not forgotten");
        work(&router, &mut consumer);
    }
    drop(consumer);
    router.shutdown().await.unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    for (topic, channel) in [("work", "all"), ("slow", "sleeper"), ("alone", "first")] {
        let mut consumer = Client::subscribe(router.tcp_address(), topic, channel, 1);
        assert!(consumer.is_quiet(QUIET), "a message of `{topic}` came again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_moved_survives_a_replay_and_leaves_with_its_topic() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "work", "all", 64);
    work(&router, &mut consumer);
    publish_long_lived(&router, Duration::from_secs(3600));
    let old = segments(folder.path());
    work_until_gone(&router, folder.path(), &mut consumer, &old);
    assert_eq!(moved(&router), 3);
    drop(consumer);

    // Back to the beginning: what is gone is passed over, and what moved is not.
    let (status, answer) =
        http(router.http_address(), "POST", "/channel/replay?topic=work&channel=all&from=0", b"");
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["from"], 8);
    let peek = "/channel/peek?topic=work&channel=all&limit=1";
    let page = http(router.http_address(), "GET", peek, b"").1;
    assert!(page.contains("\"sequence\":8"), "{page}");

    for topic in ["work", "slow", "alone"] {
        assert_eq!(http(router.http_address(), "POST", &format!("/topic/delete?topic={topic}"), b"").0, 200);
    }
    assert_eq!(moved(&router), 0);
    router.shutdown().await.unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    assert_eq!(moved(&router), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_by_time_finds_its_place_beside_messages_that_moved() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "work", "all", 64);
    work(&router, &mut consumer);
    publish_long_lived(&router, Duration::from_secs(3600));
    let old = segments(folder.path());
    work_until_gone(&router, folder.path(), &mut consumer, &old);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    work(&router, &mut consumer);
    drop(consumer);
    let replay = format!("/channel/replay?topic=work&channel=all&time={now}");
    let answer = http(router.http_address(), "POST", &replay, b"").1;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["messages"], 8);
}

#[test]
fn what_moves_survives_kill_9() {
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let (mut child, address) = crate::support::process::start(Kind::Small, folder.path());
        let mut consumer = Client::subscribe(address, "work", "all", 64);
        let mut producer = Client::connect(address);
        // What the last kill left unfinished comes first.
        producer.publish("work", "begin");
        while consumer.message_finished().body != b"begin".as_slice() {}
        work_on(&mut producer, &mut consumer);
        producer.publish("kept", format!("{round}"));
        answered.push(format!("{round}"));
        let worker = std::thread::spawn(move || {
            // It ends with a panic when the router is gone: that is what this test does to it.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                loop {
                    work_on(&mut producer, &mut consumer);
                }
            }));
        });
        std::thread::sleep(Duration::from_millis(400 + 37 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        worker.join().unwrap();
    }
    let names = segments(folder.path());
    assert!(names.len() < 16, "messages of long life keep their segments: {names:?}");
    let (mut child, address) = crate::support::process::start(Kind::Small, folder.path());
    let mut late = Client::subscribe(address, "kept", "late", 1);
    let mut delivered: Vec<String> = (0..answered.len())
        .map(|_| String::from_utf8(late.message_finished().body.to_vec()).unwrap())
        .collect();
    assert!(late.is_quiet(QUIET), "one comes twice");
    delivered.sort_by_key(|body| body.parse::<usize>().unwrap());
    assert_eq!(delivered, answered);
    child.kill().unwrap();
    child.wait().unwrap();
}
