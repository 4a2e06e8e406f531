//! Statistics: what is counted, who is shown, what is left out when asked.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::against_both;
use crate::support::peer::{Peer, Server};

against_both! {
    a_new_server_has_nothing,
    topics_and_channels_are_counted,
    clients_are_shown_as_they_named_themselves,
    producers_are_shown,
    a_consumer_that_publishes_is_both,
    they_can_be_narrowed,
    every_field_is_there,
    text_is_for_people,
}

fn stats(server: &Server, rest: &str) -> Value {
    let answer = server.get(&format!("/stats?format=json{rest}"));
    assert_eq!(answer.status, 200);
    answer.json()
}

fn a_new_server_has_nothing(peer: Peer) {
    let server = peer.start();
    let stats = stats(&server, "");
    assert_eq!((&stats["topics"], &stats["producers"]), (&json!([]), &json!(null)));
    assert_eq!(stats["health"], "OK");
    assert!(stats["version"].as_str().unwrap().starts_with("1.3.0"));
    assert!(stats["start_time"].as_u64().unwrap() > 1_600_000_000);
    assert!(stats["memory"]["heap_in_use_bytes"].as_u64().unwrap() > 0, "{stats}");
    let (version, started) = (&stats["version"], &stats["start_time"]);
    let text = server.get("/stats?format=json").body;
    let beginning =
        format!(r#"{{"version":{version},"health":"OK","start_time":{started},"topics":[],"memory":{{"#);
    assert!(text.starts_with(&beginning), "{text}");
}

fn topics_and_channels_are_counted(peer: Peer) {
    let server = peer.start();
    let mut producer = server.connect();
    for body in ["12345", "1", "1"] {
        producer.publish("orders", body);
    }
    let topic = |field: &str| stats(&server, "")["topics"][0][field].clone();
    assert_eq!(
        (topic("depth"), topic("message_count"), topic("message_bytes")),
        (3.into(), 3.into(), 7.into())
    );
    let mut consumer = server.subscribe("orders", "ship", 2);
    let (first, second) = (consumer.message(), consumer.message());
    server.becomes("orders", "depth", 1);
    assert_eq!(topic("depth"), 0, "the channel has them");
    let channel = server.channel("orders");
    assert_eq!((&channel["in_flight_count"], &channel["message_count"]), (&2.into(), &3.into()));
    consumer.finish(&first);
    let third = consumer.message();
    consumer.finish(&third);
    consumer.send_raw(format!("REQ {} 60000\n", second.id).as_bytes());
    server.becomes("orders", "deferred_count", 1);
    let channel = server.channel("orders");
    for (field, count) in [
        ("depth", 0),
        ("in_flight_count", 0),
        ("message_count", 3),
        ("requeue_count", 1),
        ("timeout_count", 0),
        ("client_count", 1),
    ] {
        assert_eq!(channel[field], count, "{field}");
    }
    let client = &channel["clients"][0];
    for (field, count) in [
        ("ready_count", 2),
        ("in_flight_count", 0),
        ("message_count", 3),
        ("finish_count", 2),
        ("requeue_count", 1),
        ("state", 3),
    ] {
        assert_eq!(client[field], count, "{field}");
    }
    consumer.send_raw(b"CLS\n");
    assert_eq!(consumer.response(), "CLOSE_WAIT");
    let client = server.channel("orders")["clients"][0].clone();
    assert_eq!((&client["state"], &client["ready_count"]), (&4.into(), &0.into()));
}

fn clients_are_shown_as_they_named_themselves(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.connect();
    let ask = json!({"client_id": "me", "hostname": "my.host", "user_agent": "test/1", "sample_rate": 42});
    consumer.identify(&ask).unwrap();
    consumer.send_raw(b"SUB orders ship\n");
    assert_eq!(consumer.response(), "OK");
    let client = server.channel("orders")["clients"][0].clone();
    for (field, value) in
        [("client_id", "me"), ("hostname", "my.host"), ("user_agent", "test/1"), ("version", "V2")]
    {
        assert_eq!(client[field], value, "{field}");
    }
    assert_eq!(client["sample_rate"], 42);
    for field in ["tls", "deflate", "snappy"] {
        assert_eq!(client[field], false, "{field}");
    }
    assert!(client["remote_address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let _nameless = server.subscribe("parcels", "ship", 0);
    let client = server.channel("parcels")["clients"][0].clone();
    assert_eq!((&client["client_id"], &client["hostname"]), (&"127.0.0.1".into(), &"127.0.0.1".into()));
}

fn producers_are_shown(peer: Peer) {
    let server = peer.start();
    let mut producer = server.connect();
    producer.publish("orders", "1");
    producer.publish("orders", "2");
    let shown = stats(&server, "");
    let shown = &shown["producers"][0];
    assert_eq!(shown["pub_counts"], json!([{"topic": "orders", "count": 2}]));
    assert_eq!((&shown["version"], &shown["client_id"]), (&"V2".into(), &"127.0.0.1".into()));
    assert_eq!(stats(&server, "&include_clients=false")["producers"], json!(null));
    drop(producer);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while stats(&server, "")["producers"] != json!(null) {
        assert!(std::time::Instant::now() < deadline, "the producer stays");
    }
}

fn a_consumer_that_publishes_is_both(peer: Peer) {
    let server = peer.start();
    let mut client = server.subscribe("orders", "ship", 3);
    let _other = server.subscribe("orders", "bill", 0);
    client.publish("parcels", "1");
    server.publish("orders", "1");
    client.message();
    let all = stats(&server, "");
    let counts = json!([{"topic": "parcels", "count": 1}]);
    let shown = [&all["topics"][0]["channels"][1]["clients"][0], &all["producers"][0]];
    for shown in shown {
        assert_eq!(shown["pub_counts"], counts, "{all}");
        let told =
            (&shown["state"], &shown["ready_count"], &shown["in_flight_count"], &shown["message_count"]);
        assert_eq!(told, (&3.into(), &3.into(), &1.into(), &1.into()));
    }
    assert_eq!(all["topics"][0]["channels"][0]["clients"][0].get("pub_counts"), None);
    // Its counts are narrowed too; it is a producer nevertheless.
    let narrowed = stats(&server, "&topic=orders");
    assert_eq!(
        (narrowed["producers"][0].get("pub_counts"), &narrowed["producers"][0]["state"]),
        (None, &3.into())
    );
    let text = server.get("/stats?topic=parcels").body;
    assert!(text.contains("] msgs: 1        topics: parcels=1 connected: "), "{text}");
}

fn they_can_be_narrowed(peer: Peer) {
    let server = peer.start();
    server.publish("ark", "1");
    let _first = server.subscribe("zoo", "feed", 0);
    let _second = server.subscribe("zoo", "clean", 0);
    let all = stats(&server, "");
    assert_eq!([&all["topics"][0]["topic_name"], &all["topics"][1]["topic_name"]], ["ark", "zoo"]);
    assert_eq!(all["topics"][1]["channels"][1]["channel_name"], "feed");
    let few = stats(&server, "&topic=zoo&channel=feed&include_clients=0&include_mem=false");
    assert_eq!(few["topics"].as_array().unwrap().len(), 1);
    let channels = few["topics"][0]["channels"].as_array().unwrap();
    assert_eq!((channels.len(), &channels[0]["clients"]), (1, &json!(null)));
    assert_eq!((channels[0]["client_count"].as_u64(), few.get("memory")), (Some(1), None));
    assert_eq!(stats(&server, "&topic=none")["topics"], json!(null));
    assert_eq!(stats(&server, "&topic=ark&channel=feed")["topics"], json!([]));
    for yes in ["true", "1", "perhaps", ""] {
        let all = stats(&server, &format!("&include_clients={yes}&include_mem={yes}&topic=zoo"));
        assert_eq!(all["topics"][0]["channels"][0]["clients"].as_array().unwrap().len(), 1, "{yes}");
        assert!(all["memory"].is_object(), "{yes}");
    }
}

const MEMORY: &[&str] = &[
    "heap_objects",
    "heap_idle_bytes",
    "heap_in_use_bytes",
    "heap_released_bytes",
    "gc_pause_usec_100",
    "gc_pause_usec_99",
    "gc_pause_usec_95",
    "next_gc_bytes",
    "gc_total_runs",
];

const TOPIC: &[&str] = &[
    "topic_name",
    "channels",
    "depth",
    "backend_depth",
    "message_count",
    "message_bytes",
    "paused",
    "e2e_processing_latency",
];

const CHANNEL: &[&str] = &[
    "channel_name",
    "depth",
    "backend_depth",
    "in_flight_count",
    "deferred_count",
    "message_count",
    "requeue_count",
    "timeout_count",
    "client_count",
    "clients",
    "paused",
    "e2e_processing_latency",
];

const CLIENT: &[&str] = &[
    "client_id",
    "hostname",
    "version",
    "remote_address",
    "state",
    "ready_count",
    "in_flight_count",
    "message_count",
    "finish_count",
    "requeue_count",
    "connect_ts",
    "sample_rate",
    "deflate",
    "snappy",
    "user_agent",
    "tls",
    "tls_cipher_suite",
    "tls_version",
    "tls_negotiated_protocol",
    "tls_negotiated_protocol_is_mutual",
];

fn every_field_is_there(peer: Peer) {
    let server = peer.start();
    let _consumer = server.subscribe("orders", "ship", 0);
    let mut producer = server.connect();
    producer.publish("orders", "1");
    let stats = stats(&server, "");
    let check = |value: &Value, fields: &[&str]| {
        let there: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let missing: Vec<_> = fields.iter().filter(|field| !there.contains(*field)).collect();
        assert!(missing.is_empty(), "{missing:?} of {value}");
    };
    check(&stats, &["version", "health", "start_time", "topics", "memory", "producers"]);
    check(&stats["memory"], MEMORY);
    let topic = &stats["topics"][0];
    check(topic, TOPIC);
    let channel = &topic["channels"][0];
    check(channel, CHANNEL);
    check(&channel["clients"][0], CLIENT);
    check(&stats["producers"][0], CLIENT);
    check(&stats["producers"][0], &["pub_counts"]);
}

fn text_is_for_people(peer: Peer) {
    let server = peer.start();
    let empty = server.get("/stats?include_mem=false").body;
    for part in ["\nHealth: OK\n", "\nTopics: None\n", "\nProducers: None\n"] {
        assert!(empty.contains(part), "{part:?} is not in\n{empty}");
    }
    let mut producer = server.connect();
    producer.publish("zoo", "one");
    producer.publish("zoo", "two");
    let _consumer = server.subscribe("zoo", "feed", 0);
    server.becomes("zoo", "depth", 2);
    let answer = server.get("/stats");
    assert!(answer.head.contains("x-nsq-content-type: nsq; version=1.0"), "{}", answer.head);
    for part in [
        "nsqd v1.3.0",
        "Health: OK\n",
        "heap_in_use_bytes",
        "\n   [zoo            ] depth: 0     be-depth: ",
        "\n      [feed                     ] depth: 2     be-depth: ",
        "inflt: 0    def: 0    re-q: 0     timeout: 0     msgs: 2        e2e%: \n",
        "\n        [V2 127.0.0.1:",
        "\nProducers:\n   [V2 127.0.0.1:",
        "msgs: 2        topics: zoo=2 connected: ",
    ] {
        assert!(answer.body.contains(part), "{part:?} is not in\n{}", answer.body);
    }
    server.order("/topic/pause?topic=zoo");
    server.order("/channel/pause?topic=zoo&channel=feed");
    let paused = server.get("/stats?format=text").body;
    for part in ["\n*P [zoo            ]", "\n   *P [feed                     ]"] {
        assert!(paused.contains(part), "{part:?} is not in\n{paused}");
    }
}
