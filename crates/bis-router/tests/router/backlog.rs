//! A backlog over many segments: read back in order from the disk, after a restart too, and removed once handled.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Client, http, name, options};
use bis_nsq::{Command, Frame};
use bis_router::{Options, Router, SyncMode};
use bytes::Bytes;

const MESSAGES: u32 = 8000;
const BODY_BYTES: usize = 3000;
const SEGMENT_BYTES: u64 = 1024 * 1024;

fn small_segments(folder: &Path) -> Options {
    let mut options = options(folder);
    options.journal.segment_bytes = SEGMENT_BYTES;
    options.journal.retention_bytes = 2 * SEGMENT_BYTES;
    options.journal.sync = SyncMode::None;
    options
}

fn segments(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".segment")).count()
}

fn body(number: u32) -> Bytes {
    let mut body = format!("{number} ").into_bytes();
    body.resize(BODY_BYTES, (number % 251) as u8);
    body.into()
}

fn receive(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let message = client.message();
        assert!(message.body == body(number), "message {number} is not what was published");
        client.finish(&message);
    }
}

/// Ends a subscription so that everything finished is known to have arrived.
fn close(mut client: Client) {
    client.send(&Command::Close);
    while client.try_frame().is_some_and(|frame| !matches!(frame, Frame::Response(_))) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_back_in_order_and_then_removed() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    let create = "/topic/create?topic=big";
    assert_eq!(http(router.http_address(), "POST", create, b"").0, 200);
    assert_eq!(http(router.http_address(), "POST", "/channel/create?topic=big&channel=all", b"").0, 200);
    let mut producer = Client::connect(router.tcp_address());
    for start in (0..MESSAGES).step_by(100) {
        let bodies = (start..start + 100).map(body).collect();
        producer.send(&Command::MultiPublish { topic: name("big"), bodies });
        assert_eq!(producer.response(), "OK");
    }
    assert!(segments(folder.path()) > 20, "the backlog is too small to mean something");
    let mut consumer = Client::subscribe(router.tcp_address(), "big", "all", 1);
    receive(&mut consumer, 0..MESSAGES / 2);
    close(consumer);
    router.shutdown().await.unwrap();

    let router = Router::start(small_segments(folder.path())).await.unwrap();
    assert!(router.damage().is_empty());
    let mut consumer = Client::subscribe(router.tcp_address(), "big", "all", 1);
    receive(&mut consumer, MESSAGES / 2..MESSAGES);
    // What is handled goes when the journal goes on to another segment.
    let mut producer = Client::connect(router.tcp_address());
    let until = Instant::now() + Duration::from_secs(20);
    let mut number = MESSAGES;
    while segments(folder.path()) > 8 {
        assert!(Instant::now() < until, "{} segments are left", segments(folder.path()));
        producer.publish("big", body(number));
        receive(&mut consumer, number..number + 1);
        number += 1;
    }
    close(consumer);
    router.shutdown().await.unwrap();
    let router = Router::start(small_segments(folder.path())).await.unwrap();
    let mut consumer = Client::subscribe(router.tcp_address(), "big", "all", 1);
    assert!(consumer.is_quiet(Duration::from_millis(200)), "a finished message came back");
}
