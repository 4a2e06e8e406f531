//! PUB, MPUB and DPUB: sizes, names, delays, and that what is refused leaves nothing behind.

use std::time::{Duration, Instant};

use crate::against_both;
use crate::support::peer::{Peer, Server, Settings};
use crate::support::{Client, sized};

against_both! {
    what_is_published_comes_once_to_each_channel,
    many_at_once_come_in_order,
    sizes_of_one_message_are_bounded,
    sizes_of_many_messages_are_bounded,
    many_are_read_by_their_count,
    many_are_taken_whole_or_not_at_all,
    names_are_checked,
    parameters_are_counted,
    a_subscriber_may_publish,
    bodies_are_bytes,
    a_deferred_message_waits,
    delays_are_bounded,
}

/// The body of MPUB.
fn many(bodies: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(bodies.len()).unwrap().to_be_bytes();
    let mut bytes = count.to_vec();
    for body in bodies {
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(*body);
    }
    bytes
}

fn refused(server: &Server, bytes: &[u8], text: &str) {
    let mut client = server.connect();
    client.send_raw(bytes);
    client.ends_with(text);
}

fn what_is_published_comes_once_to_each_channel(peer: Peer) {
    let server = peer.start();
    let mut ship = server.subscribe("orders", "ship", 2);
    let mut bill = server.subscribe("orders", "bill", 2);
    server.publish("orders", "one");
    let (first, second) = (ship.message(), bill.message());
    for message in [&first, &second] {
        assert_eq!((&message.body[..], message.attempts), (&b"one"[..], 1));
    }
    assert_eq!((first.id, first.timestamp_ns), (second.id, second.timestamp_ns), "the same message");
    assert!(first.id.as_bytes().iter().all(u8::is_ascii_hexdigit), "tools print it");
    assert!(ship.is_quiet(Duration::from_millis(50)) && bill.is_quiet(Duration::from_millis(50)));
}

fn many_at_once_come_in_order(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_sized("MPUB orders", &many(&[b"one", b"two", b"three"]));
    assert_eq!(client.response(), "OK");
    let mut consumer = server.subscribe("orders", "ship", 3);
    let bodies: Vec<_> = (0..3).map(|_| consumer.message().body).collect();
    assert_eq!(bodies, ["one", "two", "three"]);
}

fn small() -> Settings {
    Settings { max_message_bytes: 100, max_body_bytes: 1000, ..Settings::default() }
}

fn sizes_of_one_message_are_bounded(peer: Peer) {
    let server = peer.start_with(&small());
    let mut client = server.connect();
    for size in [1, 95, 100] {
        client.publish("orders", vec![b'x'; size]);
    }
    let large = [b'x'; 105];
    refused(&server, &sized("PUB orders", &large), "E_BAD_MESSAGE PUB message too big 105 > 100");
    refused(&server, &sized("DPUB orders 1", &large), "E_BAD_MESSAGE DPUB message too big 105 > 100");
    refused(&server, &sized("PUB orders", b""), "E_BAD_MESSAGE PUB invalid message body size 0");
    refused(&server, &sized("DPUB orders 1", b""), "E_BAD_MESSAGE DPUB invalid message body size 0");
    refused(&server, b"PUB orders\n\xff\xff\xff\xfe", "E_BAD_MESSAGE PUB invalid message body size -2");
    refused(&server, b"PUB orders\n\x7f\xff\xff\xff", "E_BAD_MESSAGE PUB message too big 2147483647 > 100");
}

fn sizes_of_many_messages_are_bounded(peer: Peer) {
    let server = peer.start_with(&small());
    let hundred: &[u8] = &[b'x'; 100];
    let mut client = server.connect();
    client.send_sized("MPUB orders", &many(&[hundred; 5]));
    assert_eq!(client.response(), "OK");
    let check = |body: &[u8], text: &str| refused(&server, &sized("MPUB orders", body), text);
    check(&many(&[hundred; 11]), "E_BAD_BODY MPUB body too big 1148 > 1000");
    check(&many(&[&[b'x'; 101][..]; 5]), "E_BAD_MESSAGE MPUB message too big 101 > 100");
    check(
        &many(&[hundred, hundred, hundred, hundred, hundred, b""]),
        "E_BAD_MESSAGE MPUB invalid message(5) body size 0",
    );
    check(b"", "E_BAD_BODY MPUB invalid body size 0");
    check(b"\0\0\0\0", "E_BAD_BODY MPUB invalid message count 0");
    check(b"\xff\xff\xff\xff", "E_BAD_BODY MPUB invalid message count -1");
    check(b"\0\0\0\xc8", "E_BAD_BODY MPUB invalid message count 200");
    check(b"\0\0\0\x01\xff\xff\xff\xff", "E_BAD_MESSAGE MPUB invalid message(0) body size -1");
    refused(&server, b"MPUB orders\n\xff\xff\xff\xff", "E_BAD_BODY MPUB invalid body size -1");
}

/// As published clients send them: the length of the whole leaves out the count, or the messages' lengths, or is too
/// large.
fn many_are_read_by_their_count(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 10);
    let mut client = server.connect();
    for length in [3_u32, 15, 23, 1, 5_000_000] {
        client.send_raw(b"MPUB orders\n");
        client.send_raw(&length.to_be_bytes());
        client.send_raw(&many(&[b"a", b"b", b"c"]));
        client.send_raw(b"NOP\n");
        assert_eq!(client.response(), "OK", "{length}");
        let bodies: Vec<_> = (0..3).map(|_| consumer.message_finished().body).collect();
        assert_eq!(bodies, ["a", "b", "c"], "{length}");
    }
    client.publish("orders", "after");
    assert_eq!(consumer.message_finished().body, "after");
}

fn many_are_taken_whole_or_not_at_all(peer: Peer) {
    let server = peer.start_with(&small());
    let mut consumer = server.subscribe("orders", "ship", 10);
    let text = "E_BAD_MESSAGE MPUB invalid message(2) body size 0";
    refused(&server, &sized("MPUB orders", &many(&[b"one", b"two", b""])), text);
    assert!(consumer.is_quiet(Duration::from_millis(100)));
    assert_eq!(server.channel("orders")["message_count"], 0);
}

fn names_are_checked(peer: Peer) {
    let server = peer.start();
    let long = "x".repeat(65);
    for (topic, shown) in [
        ("a/b", "a/b"),
        ("a#b", "a#b"),
        ("a#ephemera", "a#ephemera"),
        ("#ephemeral", "#ephemeral"),
        ("", ""),
        (&long, &long),
        ("a\"b", "a\\\"b"),
        ("a\\b", "a\\\\b"),
        ("a\tb", "a\\tb"),
        ("a\u{7}\u{8}\u{b}\u{c}\u{1b}", "a\\a\\b\\v\\f\\x1b"),
        ("a\u{85}", "a\\u0085"),
        ("a\u{1}b", "a\\x01b"),
        ("a\u{7f}b", "a\\x7fb"),
        ("größe", "größe"),
    ] {
        for (command, prefix, rest) in
            [("PUB", "PUB", ""), ("MPUB", "E_BAD_TOPIC MPUB", ""), ("DPUB", "DPUB", " 1")]
        {
            let text = format!("E_BAD_TOPIC {prefix} topic name \"{shown}\" is not valid");
            refused(&server, format!("{command} {topic}{rest}\n").as_bytes(), &text);
        }
    }
    let mut client = server.connect();
    for topic in ["x".repeat(64), "a.b-c_D9".into(), "a#ephemeral".into(), ".".into()] {
        client.publish_raw(&topic, b"x");
    }
}

fn parameters_are_counted(peer: Peer) {
    let server = peer.start();
    for line in ["PUB", "MPUB", "DPUB", "DPUB orders"] {
        let command = line.split(' ').next().unwrap();
        let text = format!("E_INVALID {command} insufficient number of parameters");
        refused(&server, format!("{line}\n").as_bytes(), &text);
    }
    let mut client = server.connect();
    for line in ["PUB orders more", "DPUB orders 0 more"] {
        client.send_sized(line, b"x");
        assert_eq!(client.response(), "OK", "what is too much is overlooked");
    }
}

fn a_subscriber_may_publish(peer: Peer) {
    let server = peer.start();
    let mut client = server.subscribe("orders", "ship", 0);
    client.publish("orders", "one");
    client.send_raw(b"CLS\n");
    assert_eq!(client.response(), "CLOSE_WAIT");
    client.publish("orders", "two");
}

fn bodies_are_bytes(peer: Peer) {
    let server = peer.start();
    let body: Vec<u8> = (0..=255).chain(*b"\nPUB x\n\0\0\0\x01").collect();
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.connect().publish("orders", body.clone());
    assert_eq!(consumer.message().body, body);
}

fn a_deferred_message_waits(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 5);
    let mut producer = server.connect();
    let started = Instant::now();
    producer.send_sized("DPUB orders 1000", b"later");
    assert_eq!(producer.response(), "OK");
    producer.send_sized("DPUB orders 0", b"now");
    assert_eq!(producer.response(), "OK");
    let now = consumer.message();
    assert_eq!(now.body, "now");
    assert!(started.elapsed() < Duration::from_secs(1));
    let stats = server.channel("orders");
    assert_eq!((&stats["deferred_count"], &stats["message_count"]), (&1.into(), &2.into()));
    let later = consumer.message();
    assert_eq!((&later.body[..], later.attempts), (&b"later"[..], 1));
    assert!(started.elapsed() >= Duration::from_secs(1), "too early");
}

fn delays_are_bounded(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_sized("DPUB orders 3600000", b"x");
    assert_eq!(client.response(), "OK");
    let check = |delay: &str, text: &str| {
        refused(&server, format!("DPUB orders {delay}\n").as_bytes(), text);
    };
    check("3600001", "E_INVALID DPUB timeout 3600001 out of range 0-3600000");
    check("3600100", "E_INVALID DPUB timeout 3600100 out of range 0-3600000");
    check("-1", "E_INVALID DPUB could not parse timeout -1");
    check("1.5", "E_INVALID DPUB could not parse timeout 1.5");
    check("soon", "E_INVALID DPUB could not parse timeout soon");
    let settings = Settings { max_requeue_delay: Duration::from_secs(1), ..Settings::default() };
    let server = peer.start_with(&settings);
    refused(&server, b"DPUB orders 1001\n", "E_INVALID DPUB timeout 1001 out of range 0-1000");
}

impl Client {
    /// PUB with any text in place of a topic.
    fn publish_raw(&mut self, topic: &str, body: &[u8]) {
        self.send_sized(&format!("PUB {topic}"), body);
        assert_eq!(self.response(), "OK", "{topic}");
    }
}
