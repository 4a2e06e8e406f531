//! What becomes of a delivery: FIN, REQ, TOUCH, a timeout; pausing and emptying under it.

use std::time::{Duration, Instant};

use bis_nsq::{Command, Message};
use serde_json::json;

use crate::against_both;
use crate::support::peer::{Peer, Settings};
use crate::support::{Client, name};

const QUIET: Duration = Duration::from_millis(100);

against_both! {
    what_is_not_in_flight_cannot_be_answered,
    another_consumers_message_cannot_be_answered,
    identifiers_and_parameters_are_checked,
    a_requeued_message_comes_again,
    a_delayed_requeue_waits,
    a_long_delay_is_shortened,
    an_unanswered_message_comes_again,
    all_that_is_unanswered_comes_again,
    a_touch_starts_the_time_anew,
    touches_end_at_the_longest_time,
    a_paused_channel_holds_back,
    a_paused_topic_holds_back,
    what_a_paused_topic_holds_is_for_the_channels_that_are_there_in_the_end,
    an_emptied_topic_forgets_what_it_holds,
    an_emptied_channel_forgets,
    an_emptied_topic_forgets_what_no_channel_has,
    without_its_last_channel_a_topic_keeps_messages_for_the_next,
}

fn command(client: &mut Client, word: &str, message: &Message, rest: &str) {
    client.send_raw(format!("{word} {}{rest}\n", message.id).as_bytes());
}

fn what_is_not_in_flight_cannot_be_answered(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 1);
    let id = "0123456789abcdef";
    for (word, rest) in [("FIN", ""), ("TOUCH", ""), ("REQ", " 0")] {
        consumer.send_raw(format!("{word} {id}{rest}\n").as_bytes());
        assert_eq!(consumer.error(), format!("E_{word}_FAILED {word} {id} failed ID not in flight"));
    }
    server.publish("orders", "1");
    let message = consumer.message();
    consumer.finish(&message);
    for (word, rest) in [("FIN", ""), ("TOUCH", ""), ("REQ", " 0")] {
        command(&mut consumer, word, &message, rest);
        let text = format!("E_{word}_FAILED {word} {} failed ID not in flight", message.id);
        assert_eq!(consumer.error(), text);
    }
    server.publish("orders", "2");
    assert_eq!(consumer.message().body, "2", "the connection goes on");
}

fn another_consumers_message_cannot_be_answered(peer: Peer) {
    let server = peer.start();
    let mut owner = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let message = owner.message();
    let mut other = server.subscribe("orders", "ship", 1);
    for (word, rest) in [("FIN", ""), ("TOUCH", ""), ("REQ", " 0")] {
        command(&mut other, word, &message, rest);
        let text = format!("E_{word}_FAILED {word} {} failed client does not own message", message.id);
        assert_eq!(other.error(), text);
    }
    // Another channel's message is as unknown as any.
    let mut stranger = server.subscribe("orders", "bill", 1);
    command(&mut stranger, "FIN", &message, "");
    let text = format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id);
    assert_eq!(stranger.error(), text);
    owner.finish(&message);
    server.becomes("orders", "in_flight_count", 0);
}

fn identifiers_and_parameters_are_checked(peer: Peer) {
    let server = peer.start();
    let check = |line: &str, text: &str| {
        let mut consumer = server.subscribe("orders", "ship", 1);
        consumer.send_raw(line.as_bytes());
        consumer.ends_with(text);
    };
    check("FIN\n", "E_INVALID FIN insufficient number of params");
    check("TOUCH\n", "E_INVALID TOUCH insufficient number of params");
    check("REQ\n", "E_INVALID REQ insufficient number of params");
    check("REQ 0123456789abcdef\n", "E_INVALID REQ insufficient number of params");
    for line in ["FIN \n", "FIN 0123\n", "TOUCH 0123456789abcdef0\n", "REQ x 0\n"] {
        check(line, "E_INVALID invalid message ID");
    }
    check("REQ 0123456789abcdef x\n", "E_INVALID REQ could not parse timeout x");
    check("REQ 0123456789abcdef -5\n", "E_INVALID REQ could not parse timeout -5");
    // Bytes that are not an identifier of the server's, but of the right length.
    let mut consumer = server.subscribe("orders", "ship", 1);
    consumer.send_raw(b"FIN ZZZZZZZZZZZZZZZZ\n");
    assert_eq!(consumer.error(), "E_FIN_FAILED FIN ZZZZZZZZZZZZZZZZ failed ID not in flight");
    consumer.send_raw(b"FIN 0123456789abcdef overlooked\n");
    assert_eq!(consumer.error(), "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight");
}

fn a_requeued_message_comes_again(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let mut message = consumer.message();
    for attempts in 2..5 {
        command(&mut consumer, "REQ", &message, " 0");
        let again = consumer.message();
        assert_eq!((again.id, &again.body, again.attempts), (message.id, &message.body, attempts));
        assert_eq!(again.timestamp_ns, message.timestamp_ns, "the time of its publication");
        message = again;
    }
    consumer.finish(&message);
    server.becomes("orders", "in_flight_count", 0);
    let stats = server.channel("orders");
    assert_eq!(
        (&stats["requeue_count"], &stats["message_count"], &stats["timeout_count"]),
        (&3.into(), &1.into(), &0.into())
    );
}

fn a_delayed_requeue_waits(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let message = consumer.message();
    let started = Instant::now();
    command(&mut consumer, "REQ", &message, " 500");
    server.becomes("orders", "deferred_count", 1);
    // Its place is free for another.
    server.publish("orders", "2");
    let other = consumer.message();
    assert_eq!(other.body, "2");
    consumer.finish(&other);
    let again = consumer.message();
    assert!(started.elapsed() >= Duration::from_millis(500), "too early");
    assert_eq!((&again.body[..], again.attempts), (&b"1"[..], 2));
}

fn a_long_delay_is_shortened(peer: Peer) {
    let settings = Settings { max_requeue_delay: Duration::from_millis(500), ..Settings::default() };
    let server = peer.start_with(&settings);
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let message = consumer.message();
    let started = Instant::now();
    command(&mut consumer, "REQ", &message, " 3600000");
    assert_eq!(consumer.message().attempts, 2);
    assert!(started.elapsed() >= Duration::from_millis(500), "too early");
}

fn an_unanswered_message_comes_again(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.connect();
    consumer.identify(&json!({"msg_timeout": 1000})).unwrap();
    consumer.send_raw(b"SUB orders ship\nRDY 1\n");
    assert_eq!(consumer.response(), "OK");
    server.publish("orders", "1");
    let message = consumer.message();
    let started = Instant::now();
    consumer.send_raw(b"RDY 0\n");
    server.becomes("orders", "timeout_count", 1);
    assert!(started.elapsed() >= Duration::from_millis(900), "too early");
    consumer.finish(&message);
    let text = format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id);
    assert_eq!(consumer.error(), text);
    let stats = server.channel("orders");
    assert_eq!((&stats["requeue_count"], &stats["depth"]), (&0.into(), &1.into()));
    consumer.send_raw(b"RDY 1\n");
    let again = consumer.message();
    assert_eq!((again.id, again.attempts), (message.id, 2));
}

fn all_that_is_unanswered_comes_again(peer: Peer) {
    let server =
        peer.start_with(&Settings { message_timeout: Duration::from_secs(1), ..Settings::default() });
    let mut consumer = server.subscribe("orders", "ship", 250);
    let bodies = ["x"; 250].into_iter().collect();
    let mut producer = server.connect();
    producer.send(&Command::MultiPublish { topic: name("orders"), bodies });
    assert_eq!(producer.response(), "OK");
    for _ in 0..250 {
        assert_eq!(consumer.message().attempts, 1);
    }
    consumer.send_raw(b"RDY 0\n");
    server.becomes("orders", "timeout_count", 250);
    let stats = server.channel("orders");
    assert_eq!((&stats["in_flight_count"], &stats["depth"]), (&0.into(), &250.into()));
    consumer.send_raw(b"RDY 250\n");
    for _ in 0..250 {
        let message = consumer.message();
        assert_eq!(message.attempts, 2);
        consumer.finish(&message);
    }
    server.becomes("orders", "in_flight_count", 0);
}

fn a_touch_starts_the_time_anew(peer: Peer) {
    let settings = Settings { message_timeout: Duration::from_secs(2), ..Settings::default() };
    let server = peer.start_with(&settings);
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let message = consumer.message();
    // Long enough for nsqd to have seen the new channel, which it looks for every five seconds.
    for _ in 0..7 {
        std::thread::sleep(Duration::from_secs(1));
        command(&mut consumer, "TOUCH", &message, "");
    }
    consumer.finish(&message);
    server.becomes("orders", "in_flight_count", 0);
    assert_eq!(server.channel("orders")["timeout_count"], 0);
}

fn touches_end_at_the_longest_time(peer: Peer) {
    let settings = Settings {
        message_timeout: Duration::from_secs(2),
        max_message_timeout: Duration::from_secs(3),
        ..Settings::default()
    };
    let server = peer.start_with(&settings);
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "1");
    let message = consumer.message();
    let started = Instant::now();
    let error = loop {
        std::thread::sleep(Duration::from_millis(200));
        if !consumer.is_quiet(Duration::from_millis(1)) {
            break consumer.try_frame().unwrap();
        }
        command(&mut consumer, "TOUCH", &message, "");
    };
    // Either the refusal of a touch, or the message again: both say that its time was up.
    assert!(started.elapsed() >= Duration::from_millis(2900), "too early: {error:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "too late: {error:?}");
}

fn a_paused_channel_holds_back(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 5);
    server.publish("orders", "1");
    let message = consumer.message();
    server.order("/channel/pause?topic=orders&channel=ship");
    assert_eq!(server.channel("orders")["paused"], true);
    std::thread::sleep(Duration::from_millis(50));
    server.publish("orders", "2");
    assert!(consumer.is_quiet(QUIET));
    consumer.finish(&message);
    consumer.send_raw(b"RDY 3\n");
    assert!(consumer.is_quiet(QUIET), "what is in flight can be answered; nothing new comes");
    server.order("/channel/unpause?topic=orders&channel=ship");
    assert_eq!(consumer.message().body, "2");
    assert_eq!(server.channel("orders")["paused"], false);
}

fn a_paused_topic_holds_back(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 5);
    server.order("/topic/pause?topic=orders");
    server.publish("orders", "1");
    assert!(consumer.is_quiet(QUIET));
    let stats = server.get("/stats?format=json").json();
    let topic = &stats["topics"][0];
    assert_eq!(
        (&topic["paused"], &topic["depth"], &topic["message_count"]),
        (&true.into(), &1.into(), &1.into())
    );
    assert_eq!(topic["channels"][0]["depth"], 0, "it waits in the topic");
    server.order("/topic/unpause?topic=orders");
    assert_eq!(consumer.message().body, "1");
}

fn what_a_paused_topic_holds_is_for_the_channels_that_are_there_in_the_end(peer: Peer) {
    let server = peer.start();
    server.order("/topic/create?topic=orders");
    for channel in ["ship", "bill"] {
        server.order(&format!("/channel/create?topic=orders&channel={channel}"));
    }
    server.order("/topic/pause?topic=orders");
    server.publish("orders", "1");
    for channel in ["ship", "bill", "mail"] {
        server.order(&format!("/channel/create?topic=orders&channel={channel}"));
        server.order(&format!("/channel/delete?topic=orders&channel={channel}"));
    }
    let mut late = server.subscribe("orders", "late", 1);
    assert!(late.is_quiet(QUIET));
    server.order("/channel/create?topic=orders&channel=ship");
    server.order("/topic/unpause?topic=orders");
    assert_eq!(late.message().body, "1");
    assert_eq!(server.subscribe("orders", "ship", 1).message().body, "1");
}

fn an_emptied_topic_forgets_what_it_holds(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 5);
    server.order("/topic/pause?topic=orders");
    server.publish("orders", "1");
    server.order("/topic/empty?topic=orders");
    server.publish("orders", "2");
    server.order("/topic/unpause?topic=orders");
    assert_eq!(consumer.message().body, "2");
    assert!(consumer.is_quiet(QUIET));
}

fn an_emptied_channel_forgets(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 2);
    let mut producer = server.connect();
    producer.send_sized("DPUB orders 60000", b"0");
    assert_eq!(producer.response(), "OK");
    server.becomes("orders", "deferred_count", 1);
    for body in ["1", "2", "3"] {
        producer.publish("orders", body);
    }
    let first = consumer.message();
    consumer.message();
    server.order("/channel/empty?topic=orders&channel=ship");
    let stats = server.channel("orders");
    for field in ["depth", "in_flight_count", "deferred_count"] {
        assert_eq!(stats[field], 0, "{field}");
    }
    assert_eq!(stats["clients"][0]["in_flight_count"], 0);
    command(&mut consumer, "FIN", &first, "");
    let text = format!("E_FIN_FAILED FIN {} failed ID not in flight", first.id);
    assert_eq!(consumer.error(), text);
    producer.publish("orders", "5");
    producer.publish("orders", "6");
    assert_eq!((consumer.message().body, consumer.message().body), ("5".into(), "6".into()));
}

fn an_emptied_topic_forgets_what_no_channel_has(peer: Peer) {
    let server = peer.start();
    server.publish("orders", "1");
    server.order("/topic/empty?topic=orders");
    let mut consumer = server.subscribe("orders", "ship", 0);
    server.publish("orders", "2");
    server.becomes("orders", "depth", 1);
    server.order("/topic/empty?topic=orders");
    consumer.send_raw(b"RDY 5\n");
    assert_eq!(consumer.message().body, "2", "the channel had it already");
    assert!(consumer.is_quiet(QUIET));
}

fn without_its_last_channel_a_topic_keeps_messages_for_the_next(peer: Peer) {
    let server = peer.start();
    server.order("/topic/create?topic=orders");
    server.order("/channel/create?topic=orders&channel=ship");
    server.publish("orders", "1");
    server.becomes("orders", "depth", 1);
    server.order("/channel/delete?topic=orders&channel=ship");
    server.publish("orders", "2");
    let stats = server.get("/stats?format=json").json();
    assert_eq!((&stats["topics"][0]["depth"], &stats["topics"][0]["channels"]), (&1.into(), &json!([])));
    let mut consumer = server.subscribe("orders", "ship", 5);
    assert_eq!(consumer.message().body, "2", "what the channel had is gone with it");
    assert!(consumer.is_quiet(QUIET));
}
