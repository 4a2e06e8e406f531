//! A channel is moved to another place of its topic: back to a sequence or a time, or forward, also across a restart.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{Client, http};
use bis_nsq::Command;

const QUIET: Duration = Duration::from_millis(100);

fn replay(address: SocketAddr, arguments: &str) -> (u64, u64) {
    let answer = http::post(address, &format!("/channel/replay?topic=orders&channel=ship&{arguments}"), b"");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let number = |field: &str| answer.json()[field].as_u64().unwrap();
    (number("from"), number("messages"))
}

fn nanoseconds() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Takes and finishes this many messages, which must be these, in order, each for the first time.
fn take(consumer: &mut Client, expected: std::ops::Range<usize>) {
    for number in expected {
        let message = consumer.message();
        assert!(
            message.body.starts_with(format!("{number}.").as_bytes()),
            "{number}: {:?}",
            &message.body[..8]
        );
        assert_eq!(message.attempts, 1, "{number}");
        consumer.finish(&message);
    }
    assert!(consumer.is_quiet(QUIET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handled_comes_again_from_a_sequence_or_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = crate::support::options(folder.path());
    // Many segments, so that a time is looked for in several.
    options.journal.segment_bytes = 16 * 1024;
    let router = bis_router::Router::start(options.clone()).await.unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 500);
    let mut producer = Client::connect(router.tcp_address());
    let filler = "x".repeat(500);
    let mut times = Vec::new();
    for number in 0..200 {
        times.push(nanoseconds());
        producer.publish("orders", format!("{number}.{filler}"));
    }
    take(&mut consumer, 0..200);
    let http = router.http_address();
    assert_eq!(replay(http, "from=150"), (150, 50));
    take(&mut consumer, 150..200);
    for from in [0, 1, 77, 123, 199] {
        assert_eq!(replay(http, &format!("time={}", times[from])), (from as u64, 200 - from as u64));
        take(&mut consumer, from..200);
    }
    assert_eq!(replay(http, "time=1").0, 0);
    take(&mut consumer, 0..200);
    assert_eq!(replay(http, &format!("time={}", nanoseconds())), (200, 0));
    assert_eq!(replay(http, "from=190"), (190, 10));
    router.shutdown().await.unwrap();

    let router = bis_router::Router::start(options.clone()).await.unwrap();
    let http = router.http_address();
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 5);
    let first = consumer.message();
    assert!(first.body.starts_with(b"190."), "a replay survives a restart");
    drop(consumer);
    assert_eq!(replay(http, "from=10"), (10, 190));
    assert_eq!(replay(http, "from=198"), (198, 2), "nothing lies between what was not handed out and here");
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 500);
    take(&mut consumer, 198..200);
    let mut other = Client::subscribe(router.tcp_address(), "orders", "count", 500);
    assert!(other.is_quiet(QUIET), "a later channel begins with what comes next");
    let answer = http::post(http, "/channel/replay?topic=orders&channel=count&from=0", b"");
    assert_eq!(answer.status, 200, "but can be given what is kept");
    take(&mut other, 0..200);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 2);
    let mut producer = Client::connect(router.tcp_address());
    for number in 0..4 {
        producer.publish("orders", format!("{number}."));
    }
    let (zero, one) = (consumer.message(), consumer.message());
    consumer.finish(&zero);
    let two = consumer.message();
    assert_eq!(replay(router.http_address(), "from=0"), (0, 4));
    consumer.finish(&one);
    assert_eq!(consumer.message().body, "0.");
    consumer.send(&Command::Requeue { id: two.id, delay: Duration::ZERO });
    let again = consumer.message();
    assert_eq!((&again.body[..], again.attempts), (&b"2."[..], 2), "its attempts are counted on");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    drop(Client::subscribe(router.tcp_address(), "orders", "ship", 0));
    for (arguments, status, message) in [
        ("topic=orders&channel=ship", 400, "MISSING_ARG_FROM_OR_TIME"),
        ("topic=orders&channel=ship&from=1&time=1", 400, "FROM_AND_TIME"),
        ("topic=orders&channel=ship&from=x", 400, "INVALID_FROM"),
        ("topic=orders&channel=ship&time=-1", 400, "INVALID_TIME"),
        ("topic=orders&from=1", 400, "MISSING_ARG_CHANNEL"),
        ("topic=nothing&channel=ship&from=1", 404, "TOPIC_NOT_FOUND"),
        ("topic=nothing&channel=ship&time=1", 404, "TOPIC_NOT_FOUND"),
        ("topic=orders&channel=nothing&from=1", 404, "CHANNEL_NOT_FOUND"),
    ] {
        let answer = http::post(router.http_address(), &format!("/channel/replay?{arguments}"), b"");
        assert_eq!(
            (answer.status, answer.json()["message"].as_str().unwrap()),
            (status, message),
            "{arguments}"
        );
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_passed_over_hides_nothing_new_when_its_records_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let router = crate::support::start(folder.path()).await;
    let mut producer = Client::connect(router.tcp_address());
    let consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 0);
    for number in 0..5 {
        producer.publish("orders", format!("passed over {number}"));
    }
    assert_eq!(replay(router.http_address(), "from=5"), (5, 0));
    drop((producer, consumer));
    router.shutdown().await.unwrap();
    for checkpoint in ["checkpoint", "checkpoint.previous"] {
        let path = folder.path().join(checkpoint);
        assert!(checkpoint != "checkpoint" || path.exists());
        let _ = std::fs::remove_file(path);
    }
    let path = folder.path().join("0000000000000001.segment");
    let mut bytes = std::fs::read(&path).unwrap();
    let bodies: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"passed over")).collect();
    assert_eq!(bodies.len(), 5);
    bodies.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(&path, bytes).unwrap();

    let router = crate::support::start(folder.path()).await;
    let mut producer = Client::connect(router.tcp_address());
    producer.publish("orders", "new");
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    assert_eq!(&consumer.message().body[..], b"new");
    router.shutdown().await.unwrap();
}
