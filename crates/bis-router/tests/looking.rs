//! `PEEK` and `REPLAY`, which only clients that asked for Bis's extension may use.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::Duration;

use bis_nsq::{Command, Extension, Frame, Identify, PeekPage, ReplayFrom, Replayed, WaitingState};
use bytes::Bytes;
use support::authority::Authority;
use support::{Client, name};

fn peek(limit: u32, after: Option<u64>) -> Command {
    Command::Peek { topic: name("orders"), channel: name("ship"), limit, after }
}

fn replay(from: ReplayFrom) -> Command {
    Command::Replay { topic: name("orders"), channel: name("ship"), from }
}

fn page(client: &mut Client) -> PeekPage {
    serde_json::from_str(&client.response()).unwrap()
}

fn seen(page: &PeekPage) -> Vec<(&[u8], WaitingState)> {
    page.messages.iter().map(|message| (&message.body[..], message.state)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_looked_into_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let router = support::start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    let mut client = Client::connect_extended(router.tcp_address());
    for body in ["one", "two", "three"] {
        client.publish("orders", body);
    }
    let one = consumer.message();

    // Answers come in the order of their commands, though a peek may have to wait for the disk.
    client.send(&Command::Publish { topic: name("orders"), body: Bytes::from_static(b"four") });
    client.send(&peek(2, None));
    client.send(&peek(10, Some(1)));
    client.send(&Command::Publish { topic: name("orders"), body: Bytes::from_static(b"five") });
    assert_eq!(client.response(), "OK");
    let first = page(&mut client);
    assert_eq!(seen(&first), [(&b"one"[..], WaitingState::InFlight), (b"two", WaitingState::Ready)]);
    assert!(first.more);
    let rest = page(&mut client);
    assert_eq!(seen(&rest), [(&b"three"[..], WaitingState::Ready), (b"four", WaitingState::Ready)]);
    assert!(!rest.more);
    assert_eq!(client.response(), "OK");

    consumer.finish(&one);
    for _ in 0..4 {
        let message = consumer.message();
        consumer.finish(&message);
    }
    assert!(consumer.is_quiet(Duration::from_millis(100)));
    client.send(&replay(ReplayFrom::Sequence(3)));
    let replayed: Replayed = serde_json::from_str(&client.response()).unwrap();
    assert_eq!(replayed, Replayed { from: 3, messages: 2 });
    assert_eq!(&consumer.message().body[..], b"four");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_without_end_and_reads_nothing_fills_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let router = support::start(folder.path()).await;
    drop(Client::subscribe(router.tcp_address(), "orders", "ship", 0));
    let mut client = Client::connect_extended(router.tcp_address());
    client.publish("orders", vec![b'x'; 1024 * 1024]);
    let before = resident_bytes();
    (0..2000).for_each(|_| client.send(&peek(1, None)));
    for _ in 0..100 {
        Client::connect(router.tcp_address()).publish("orders", "others go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let more = resident_bytes().saturating_sub(before);
    assert!(more < 16 * 1024 * 1024, "{more} bytes for answers that nobody reads");
    for _ in 0..20 {
        assert_eq!(page(&mut client).messages.len(), 1);
    }
    drop(client);
    router.shutdown().await.unwrap();
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_beyond_the_end_has_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let router = support::start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "orders", "ship", 1);
    let mut client = Client::connect_extended(router.tcp_address());
    client.publish("orders", "handled");
    let message = consumer.message();
    consumer.finish(&message);
    for after in [0, 7, u64::MAX - 1, u64::MAX] {
        client.send(&peek(10, Some(after)));
        assert_eq!(page(&mut client), PeekPage::default(), "{after}");
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_was_asked_before() {
    let folder = tempfile::tempdir().unwrap();
    let router = support::start(folder.path()).await;
    drop(Client::subscribe(router.tcp_address(), "orders", "ship", 0));
    let mut client = Client::connect_extended(router.tcp_address());
    client.publish("orders", "one");
    client.send(&replay(ReplayFrom::Sequence(0)));
    client.send(&Command::Publish { topic: name("orders"), body: Bytes::from_static(b"two") });
    // What has arrived is carried out, or refused because the router stops; nothing is left without an answer.
    std::thread::sleep(Duration::from_millis(3));
    router.shutdown().await.unwrap();
    let is_exiting = |frame: &Frame| matches!(frame, Frame::Error(data) if data.ends_with(b"exiting"));
    let replayed = client.try_frame().unwrap();
    assert!(matches!(&replayed, Frame::Response(data) if data.starts_with(b"{")) || is_exiting(&replayed));
    let published = client.try_frame().unwrap();
    assert!(matches!(&published, Frame::Response(data) if data == "OK") || is_exiting(&published));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_no_reason_to_close() {
    let folder = tempfile::tempdir().unwrap();
    let router = support::start(folder.path()).await;
    let mut client = Client::connect_extended(router.tcp_address());
    let refused = |client: &mut Client, command: &Command, text: &str| {
        client.send(command);
        assert_eq!(client.try_frame(), Some(Frame::Error(Bytes::copy_from_slice(text.as_bytes()))));
    };
    refused(&mut client, &peek(1, None), "E_PEEK_FAILED PEEK failed TOPIC_NOT_FOUND");
    client.publish("orders", "one");
    refused(&mut client, &peek(1, None), "E_PEEK_FAILED PEEK failed CHANNEL_NOT_FOUND");
    let time = replay(ReplayFrom::Time(1));
    refused(&mut client, &time, "E_REPLAY_FAILED REPLAY failed CHANNEL_NOT_FOUND");
    client.publish("orders", "two");

    let mut plain = Client::connect(router.tcp_address());
    plain.send(&peek(1, None));
    plain.ends_with("E_INVALID invalid command PEEK");
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_subscribe_may_not_look() {
    let authority = Authority::start();
    authority.allow("publisher", 60, "^orders$", ".*", &["publish"]);
    authority.allow("shipper", 60, "^orders$", "^ship$", &["subscribe"]);
    let folder = tempfile::tempdir().unwrap();
    let mut options = support::options(folder.path());
    options.auth.addresses = vec![authority.address.to_string()];
    let router = bis_router::Router::start(options).await.unwrap();
    let connect = |secret: &str| {
        let mut client = Client::connect(router.tcp_address());
        let ask = Identify { feature_negotiation: true, bis: Some(Extension::ask()), ..Identify::default() };
        client.send(&Command::Identify(ask.to_json().into()));
        client.response();
        client.send(&Command::Auth(Bytes::copy_from_slice(secret.as_bytes())));
        client.response();
        client
    };
    let mut shipper = connect("shipper");
    shipper.send(&Command::Subscribe { topic: name("orders"), channel: name("ship"), ordered: false });
    assert_eq!(shipper.response(), "OK");
    shipper.send(&peek(1, None));
    assert_eq!(page(&mut shipper), PeekPage::default());
    let mut publisher = connect("publisher");
    publisher.send(&peek(1, None));
    publisher.ends_with(r#"E_UNAUTHORIZED AUTH failed for PEEK on "orders" "ship""#);
    let mut publisher = connect("publisher");
    publisher.send(&replay(ReplayFrom::Sequence(0)));
    publisher.ends_with(r#"E_UNAUTHORIZED AUTH failed for REPLAY on "orders" "ship""#);
    router.shutdown().await.unwrap();
}
