//! SUB, RDY and CLS: who may receive, how many, until when.

use std::time::{Duration, Instant};

use bis_nsq::Command;

use crate::against_both;
use crate::support::peer::{Peer, Settings};
use crate::support::{Client, name};

const QUIET: Duration = Duration::from_millis(100);

against_both! {
    names_are_checked,
    it_happens_once,
    commands_out_of_place_are_fatal,
    ready_bounds_what_is_in_flight,
    ready_is_bounded,
    ready_may_be_more_than_2500,
    consumers_of_a_channel_are_bounded,
    a_sample_is_delivered,
    ready_means_one_by_itself,
    nothing_comes_before_ready,
    a_deleted_channel_ends_its_consumers_closing_or_not,
    after_close_nothing_comes_and_finishing_goes_on,
    a_channel_shares_its_messages_among_consumers,
    the_first_channel_takes_what_waited,
    ephemeral_channels_go_with_their_last_consumer,
    an_ephemeral_topic_goes_with_its_last_channel,
}

fn names_are_checked(peer: Peer) {
    let server = peer.start();
    let check = |line: &str, text: &str| {
        let mut client = server.connect();
        client.send_raw(line.as_bytes());
        client.ends_with(text);
    };
    check("SUB\n", "E_INVALID SUB insufficient number of parameters");
    check("SUB orders\n", "E_INVALID SUB insufficient number of parameters");
    check("SUB a/b ship\n", "E_BAD_TOPIC SUB topic name \"a/b\" is not valid");
    check("SUB orders a/b\n", "E_BAD_CHANNEL SUB channel name \"a/b\" is not valid");
    check("SUB orders \n", "E_BAD_CHANNEL SUB channel name \"\" is not valid");
    let long = "x".repeat(65);
    check(
        &format!("SUB orders {long}\n"),
        &format!("E_BAD_CHANNEL SUB channel name \"{long}\" is not valid"),
    );
    let mut client = server.connect();
    client.send_raw(b"SUB orders ship overlooked\n");
    assert_eq!(client.response(), "OK");
}

fn it_happens_once(peer: Peer) {
    let server = peer.start();
    let mut client = server.subscribe("orders", "ship", 0);
    client.send_raw(b"SUB orders ship\n");
    client.ends_with("E_INVALID cannot SUB in current state");
}

fn commands_out_of_place_are_fatal(peer: Peer) {
    let server = peer.start();
    for line in [
        "RDY 1",
        "FIN 0123456789abcdef",
        "REQ 0123456789abcdef 0",
        "TOUCH 0123456789abcdef",
        "CLS",
        "RDY x",
        "FIN",
    ] {
        let mut client = server.connect();
        client.send_raw(format!("{line}\n").as_bytes());
        let command = line.split(' ').next().unwrap();
        client.ends_with(&format!("E_INVALID cannot {command} in current state"));
    }
    for line in ["CLS\n", "SUB orders ship\n"] {
        let mut client = server.subscribe("orders", "ship", 0);
        client.send_raw(b"CLS\n");
        assert_eq!(client.response(), "CLOSE_WAIT");
        client.send_raw(line.as_bytes());
        client.ends_with(&format!("E_INVALID cannot {} in current state", &line[..3]));
    }
}

fn ready_bounds_what_is_in_flight(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 2);
    let mut producer = server.connect();
    for body in ["1", "2", "3", "4"] {
        producer.publish("orders", body);
    }
    let (first, _second) = (consumer.message(), consumer.message());
    assert!(consumer.is_quiet(QUIET));
    consumer.finish(&first);
    assert_eq!(consumer.message().body, "3");
    assert!(consumer.is_quiet(QUIET));
    consumer.send_raw(b"RDY 3\n");
    let fourth = consumer.message();
    consumer.send_raw(b"RDY 0\n");
    consumer.finish(&fourth);
    producer.publish("orders", "5");
    assert!(consumer.is_quiet(QUIET));
    consumer.send_raw(b"RDY 3\n");
    assert_eq!(consumer.message().body, "5");
}

fn ready_is_bounded(peer: Peer) {
    let settings = Settings { max_ready_count: 50, ..Settings::default() };
    let server = peer.start_with(&settings);
    server.publish("orders", "x");
    let mut consumer = server.subscribe("orders", "ship", 50);
    consumer.message();
    for (count, text) in [
        ("51", "count 51 out of range 0-50"),
        ("-1", "could not parse count -1"),
        ("x", "could not parse count x"),
        ("1e1", "could not parse count 1e1"),
    ] {
        let mut consumer = server.subscribe("orders", "ship", 0);
        consumer.send_raw(format!("RDY {count}\n").as_bytes());
        consumer.ends_with(&format!("E_INVALID RDY {text}"));
    }
}

fn ready_may_be_more_than_2500(peer: Peer) {
    let settings = Settings { max_ready_count: 5000, ..Settings::default() };
    let server = peer.start_with(&settings);
    let mut consumer = server.subscribe("orders", "ship", 5000);
    let bodies = ["x"; 3000].into_iter().collect();
    let mut producer = server.connect();
    producer.send(&Command::MultiPublish { topic: name("orders"), bodies });
    assert_eq!(producer.response(), "OK");
    for _ in 0..3000 {
        consumer.message();
    }
    assert_eq!(server.channel("orders")["in_flight_count"], 3000);
    assert_eq!(server.channel("orders")["clients"][0]["ready_count"], 5000);
    consumer.send_raw(b"RDY 5001\n");
    consumer.ends_with("E_INVALID RDY count 5001 out of range 0-5000");
}

fn consumers_of_a_channel_are_bounded(peer: Peer) {
    let settings = Settings { max_channel_consumers: Some(2), ..Settings::default() };
    let server = peer.start_with(&settings);
    let (first, _second) = (server.subscribe("orders", "ship", 1), server.subscribe("orders", "ship", 1));
    let mut third = server.connect();
    third.send_raw(b"SUB orders ship\n");
    third.ends_with("E_SUB_FAILED SUB failed consumers for orders:ship exceeds limit of 2");
    let _other = server.subscribe("orders", "bill", 1);
    drop(first);
    let consumers = || server.get("/stats?format=json&topic=orders&channel=ship").json();
    let deadline = Instant::now() + Duration::from_secs(10);
    while consumers()["topics"][0]["channels"][0]["client_count"] != 1 {
        assert!(Instant::now() < deadline, "a consumer that left is still counted");
    }
    server.subscribe("orders", "ship", 1);
}

/// What is not in the sample is gone, as nobody was to see it.
fn a_sample_is_delivered(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.connect();
    consumer.identify(&serde_json::json!({"sample_rate": 50})).unwrap();
    consumer.send_raw(b"SUB orders ship\n");
    assert_eq!(consumer.response(), "OK");
    consumer.send_raw(b"RDY 2500\n");
    let mut producer = server.connect();
    producer
        .send(&Command::MultiPublish { topic: name("orders"), bodies: ["x"; 1000].into_iter().collect() });
    assert_eq!(producer.response(), "OK");
    server.becomes("orders", "depth", 0);
    let delivered = server.channel("orders")["in_flight_count"].as_u64().unwrap();
    // Ten times the deviation that is to be expected.
    assert!((340..=660).contains(&delivered), "{delivered} of 1000 with a sample of 50 in 100");
    for _ in 0..delivered {
        let message = consumer.message();
        consumer.finish(&message);
    }
    assert!(consumer.is_quiet(QUIET));
    server.becomes("orders", "in_flight_count", 0);
}

fn ready_means_one_by_itself(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.connect();
    consumer.send_raw(b"SUB orders ship\nRDY\n");
    assert_eq!(consumer.response(), "OK");
    let mut producer = server.connect();
    producer.publish("orders", "1");
    producer.publish("orders", "2");
    assert_eq!(consumer.message().body, "1");
    assert!(consumer.is_quiet(QUIET));
}

fn nothing_comes_before_ready(peer: Peer) {
    let server = peer.start();
    server.publish("orders", "1");
    let mut consumer = server.connect();
    consumer.send_raw(b"SUB orders ship\n");
    assert_eq!(consumer.response(), "OK");
    assert!(consumer.is_quiet(QUIET));
}

fn after_close_nothing_comes_and_finishing_goes_on(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 2);
    let mut producer = server.connect();
    producer.publish("orders", "1");
    producer.publish("orders", "2");
    let (first, second) = (consumer.message(), consumer.message());
    consumer.send_raw(b"CLS\n");
    assert_eq!(consumer.response(), "CLOSE_WAIT");
    producer.publish("orders", "3");
    consumer.send_raw(b"RDY 10\nRDY nonsense\n");
    assert!(consumer.is_quiet(QUIET), "RDY is overlooked now");
    consumer.finish(&first);
    consumer.send_raw(format!("TOUCH {}\nREQ {} 0\n", second.id, second.id).as_bytes());
    consumer.finish(&second);
    let text = format!("E_FIN_FAILED FIN {} failed ID not in flight", second.id);
    assert_eq!(consumer.error(), text, "the others succeeded");
    let mut next = server.subscribe("orders", "ship", 2);
    let mut bodies = [next.message().body, next.message().body];
    bodies.sort();
    assert_eq!(bodies, ["2", "3"]);
}

fn a_deleted_channel_ends_its_consumers_closing_or_not(peer: Peer) {
    let server = peer.start();
    let mut open = server.subscribe("orders", "ship", 1);
    let mut closing = server.subscribe("orders", "ship", 1);
    closing.send_raw(b"CLS\n");
    assert_eq!(closing.response(), "CLOSE_WAIT");
    server.order("/channel/delete?topic=orders&channel=ship");
    assert!(open.is_closed() && closing.is_closed());
}

fn a_channel_shares_its_messages_among_consumers(peer: Peer) {
    let server = peer.start();
    let mut consumers: Vec<Client> = (0..2).map(|_| server.subscribe("orders", "ship", 1)).collect();
    server.publish("orders", "1");
    server.publish("orders", "2");
    let mut bodies: Vec<_> = consumers.iter_mut().map(|consumer| consumer.message().body).collect();
    bodies.sort();
    assert_eq!(bodies, ["1", "2"]);
}

fn the_first_channel_takes_what_waited(peer: Peer) {
    let server = peer.start();
    server.publish("orders", "1");
    let mut first = server.subscribe("orders", "ship", 5);
    assert_eq!(first.message().body, "1");
    let mut second = server.subscribe("orders", "bill", 5);
    server.publish("orders", "2");
    assert_eq!((first.message().body, second.message().body), ("2".into(), "2".into()));
}

fn is_there(server: &crate::support::peer::Server, path: &str) -> bool {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    // It goes soon after its last user, not with it.
    while std::time::Instant::now() < deadline {
        if server.post(path, "").status == 404 {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn ephemeral_channels_go_with_their_last_consumer(peer: Peer) {
    let server = peer.start();
    let path = "/channel/pause?topic=orders&channel=ship%23ephemeral";
    let first = server.subscribe("orders", "ship#ephemeral", 0);
    let mut second = server.subscribe("orders", "ship#ephemeral", 0);
    drop(first);
    server.order(path);
    server.publish("orders", "1");
    second.send_raw(b"CLS\n");
    assert_eq!(second.response(), "CLOSE_WAIT");
    drop(second);
    assert!(!is_there(&server, path));
    let mut again = server.subscribe("orders", "ship#ephemeral", 1);
    assert!(again.is_quiet(QUIET), "a new one, with nothing in it and not paused");
    server.publish("orders", "2");
    assert_eq!(again.message().body, "2");
    server.order("/topic/pause?topic=orders");
}

fn an_ephemeral_topic_goes_with_its_last_channel(peer: Peer) {
    let server = peer.start();
    let path = "/topic/pause?topic=orders%23ephemeral";
    server.order("/topic/create?topic=orders%23ephemeral");
    let consumer = server.subscribe("orders#ephemeral", "ship#ephemeral", 0);
    let other = server.subscribe("orders#ephemeral", "bill#ephemeral", 0);
    drop(consumer);
    assert!(!is_there(&server, "/channel/pause?topic=orders%23ephemeral&channel=ship%23ephemeral"));
    server.order(path);
    drop(other);
    assert!(!is_there(&server, path));
}
