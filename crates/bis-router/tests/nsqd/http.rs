//! The HTTP API's publishing and administration: statuses, words, headers, and what they do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::against_both;
use crate::support::http::{get, post, request};
use crate::support::peer::{Peer, Server, Settings};

const QUIET: Duration = Duration::from_millis(100);

against_both! {
    what_is_wrong_is_said_in_one_word,
    what_is_right_is_answered,
    a_message_is_the_whole_body,
    lines_are_messages,
    binary_bodies_are_counted_messages,
    what_a_binary_body_may_count_is_bounded_by_the_largest,
    a_deferred_message_waits,
    a_refused_request_leaves_no_message,
    topics_and_channels_are_made_and_deleted,
    an_emptied_channel_is_empty,
    pauses_are_shown_and_lifted,
    info_names_the_server,
    options_are_shown_and_two_are_changed,
    null_is_taken_as_go_takes_it,
    the_head_of_nothing_is_not_found,
    a_request_names_its_host,
}

fn refuse(server: &Server, method: &str, path: &str, body: &str, status: u16, word: &str) {
    let answer = request(server.http, method, path, body.as_bytes());
    let expected = json!({"message": word}).to_string();
    assert_eq!((answer.status, answer.body), (status, expected), "{method} {path} {body:?}");
    assert!(answer.head.contains("x-nsq-content-type: nsq; version=1.0"), "{path}: {}", answer.head);
    let json = "content-type: application/json; charset=utf-8";
    assert!(answer.head.contains(json), "{path}: {}", answer.head);
}

fn what_is_wrong_is_said_in_one_word(peer: Peer) {
    let settings = Settings { max_message_bytes: 10, max_body_bytes: 20, ..Settings::default() };
    let server = peer.start_with(&settings);
    server.order("/topic/create?topic=t");
    for (path, body, status, word) in [
        ("/pub", "x", 400, "MISSING_ARG_TOPIC"),
        ("/pub?topic=", "x", 400, "INVALID_TOPIC"),
        ("/pub?topic=a%2Fb", "x", 400, "INVALID_TOPIC"),
        ("/pub?topic=%zz", "x", 400, "INVALID_REQUEST"),
        ("/pub?topic=%zz", "", 400, "MSG_EMPTY"),
        ("/pub?topic=t", "", 400, "MSG_EMPTY"),
        ("/pub?topic=t", "12345678901", 413, "MSG_TOO_BIG"),
        ("/pub", "12345678901", 413, "MSG_TOO_BIG"),
        ("/pub?topic=t&defer=soon", "x", 400, "INVALID_DEFER"),
        ("/pub?topic=t&defer=", "x", 400, "INVALID_DEFER"),
        ("/pub?topic=t&defer=-1", "x", 400, "INVALID_DEFER"),
        ("/pub?topic=t&defer=3600001", "x", 400, "INVALID_DEFER"),
        ("/mpub?topic=t", "123456789012345678901", 413, "BODY_TOO_BIG"),
        ("/mpub", "123456789012345678901", 413, "BODY_TOO_BIG"),
        ("/mpub?topic=%zz", "123456789012345678901", 413, "BODY_TOO_BIG"),
        ("/mpub?topic=t", "a\n12345678901", 413, "MSG_TOO_BIG"),
        ("/mpub", "a\nb", 400, "MISSING_ARG_TOPIC"),
        ("/mpub?topic=t&binary=true", "x", 413, "BAD_BODY"),
        ("/mpub?topic=t&binary=true", "", 413, "BAD_BODY"),
        ("/mpub?topic=t&binary=true", "\0\0\0\0", 413, "BAD_BODY"),
        ("/mpub?topic=t&binary=true", "\0\0\0\x64", 413, "BAD_BODY"),
        ("/mpub?topic=t&binary=true", "\0\0\0\x01\0\0\0\x02x", 413, "BAD_MESSAGE"),
        ("/mpub?topic=t&binary=true", "\0\0\0\x01\0\0\0\0", 413, "BAD_MESSAGE"),
        ("/mpub?topic=t&binary=true", "\0\0\0\x01\0\0\0\x0b12345678901", 413, "BAD_MESSAGE"),
        ("/topic/create", "", 400, "MISSING_ARG_TOPIC"),
        ("/topic/create?topic=a%20b", "", 400, "INVALID_TOPIC"),
        ("/topic/delete", "", 400, "MISSING_ARG_TOPIC"),
        ("/topic/delete?topic=a%20b", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/delete?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/empty", "", 400, "MISSING_ARG_TOPIC"),
        ("/topic/empty?topic=a%20b", "", 400, "INVALID_TOPIC"),
        ("/topic/empty?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/pause", "", 400, "MISSING_ARG_TOPIC"),
        ("/topic/pause?topic=a%20b", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/unpause?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/channel/create", "", 400, "MISSING_ARG_TOPIC"),
        ("/channel/create?topic=a%20b", "", 400, "INVALID_ARG_TOPIC"),
        ("/channel/create?topic=t", "", 400, "MISSING_ARG_CHANNEL"),
        ("/channel/create?topic=t&channel=a%20b", "", 400, "INVALID_ARG_CHANNEL"),
        ("/channel/create?topic=none&channel=c", "", 404, "TOPIC_NOT_FOUND"),
        ("/channel/delete?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/empty?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/pause?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/unpause?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/nothing", "", 404, "NOT_FOUND"),
        ("/info", "", 405, "METHOD_NOT_ALLOWED"),
        ("/stats", "", 405, "METHOD_NOT_ALLOWED"),
    ] {
        refuse(&server, "POST", path, body, status, word);
    }
    refuse(&server, "GET", "/pub?topic=t", "", 405, "METHOD_NOT_ALLOWED");
    refuse(&server, "GET", "/topic/create?topic=t", "", 405, "METHOD_NOT_ALLOWED");
    for path in ["/ping", "/info", "/stats", "/pub?topic=t"] {
        assert_eq!(request(server.http, "HEAD", path, b"").status, 405, "{path}");
    }
}

fn what_is_right_is_answered(peer: Peer) {
    let server = peer.start();
    for (path, body, words) in [
        ("/pub?topic=t", "x", "OK"),
        ("/pub?topic=t&defer=0", "x", "OK"),
        ("/pub?topic=t&defer=-0", "x", "OK"),
        ("/pub?topic=t&defer=%2B5", "x", "OK"),
        ("/pub?topic=t&defer=3600000", "x", "OK"),
        ("/pub?topic=t&topic=none%2Fsuch&more", "x", "OK"),
        ("/mpub?topic=t", "a\nb", "OK"),
        ("/mpub?topic=u", "", "OK"),
        ("/mpub?topic=u", "\n\n\n", "OK"),
        ("/mpub?topic=t&binary=1", "\0\0\0\x01\0\0\0\x01x", "OK"),
        ("/topic/create?topic=t", "", ""),
        ("/channel/create?topic=t&channel=c", "", ""),
        ("/channel/create?topic=t&channel=c", "", ""),
    ] {
        let answer = post(server.http, path, body);
        assert_eq!((answer.status, answer.body.as_str()), (200, words), "{path}");
        assert!(answer.head.contains("x-nsq-content-type: nsq; version=1.0"), "{path}: {}", answer.head);
    }
    let ping = get(server.http, "/ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, "OK"));
    assert!(!ping.head.contains("x-nsq-content-type"), "{}", ping.head);
}

fn bodies(server: &Server, count: usize) -> Vec<bytes::Bytes> {
    let mut consumer = server.subscribe("orders", "ship", 100);
    let bodies = (0..count).map(|_| consumer.message().body).collect();
    assert!(consumer.is_quiet(QUIET), "no more than {count}");
    bodies
}

fn a_message_is_the_whole_body(peer: Peer) {
    let server = peer.start();
    for body in ["one\ntwo\n", "{}"] {
        assert_eq!(server.post("/pub?topic=orders", body).status, 200);
    }
    assert_eq!(bodies(&server, 2), ["one\ntwo\n", "{}"]);
}

fn lines_are_messages(peer: Peer) {
    let server = peer.start();
    for (path, body) in [
        ("/mpub?topic=orders", "one\ntwo"),
        ("/mpub?topic=orders", "\n\nthree\n\n four \r\n"),
        ("/mpub?topic=orders&binary=false", "five\n"),
        ("/mpub?topic=orders&binary=0", "six"),
    ] {
        assert_eq!(server.post(path, body).body, "OK");
    }
    assert_eq!(bodies(&server, 6), ["one", "two", "three", " four \r", "five", "six"]);
}

fn binary_bodies_are_counted_messages(peer: Peer) {
    let server = peer.start();
    let body = b"\0\0\0\x02\0\0\0\x03one\0\0\0\x04t\nwo";
    for binary in ["true", "1", "non_normalized_binary_param", ""] {
        let answer = server.post(&format!("/mpub?topic=orders&binary={binary}"), body);
        assert_eq!(answer.body, "OK", "{binary}");
    }
    let expected: Vec<_> = (0..4).flat_map(|_| ["one", "t\nwo"]).collect();
    assert_eq!(bodies(&server, 8), expected);
}

fn what_a_binary_body_may_count_is_bounded_by_the_largest(peer: Peer) {
    let server = peer.start();
    for (count, word) in [(100, "BAD_MESSAGE"), (1_048_575, "BAD_MESSAGE"), (1_048_576, "BAD_BODY")] {
        let body = [&u32::to_be_bytes(count)[..], b"\0\0\0\x01x"].concat();
        let answer = server.post("/mpub?topic=orders&binary=true", body);
        assert_eq!((answer.status, answer.body), (413, json!({"message": word}).to_string()), "{count}");
    }
}

fn a_deferred_message_waits(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 5);
    let started = Instant::now();
    assert_eq!(server.post("/pub?topic=orders&defer=500", "later").body, "OK");
    server.becomes("orders", "deferred_count", 1);
    assert_eq!(server.channel("orders")["message_count"], 1);
    assert_eq!(consumer.message().body, "later");
    assert!(started.elapsed() >= Duration::from_millis(500), "too early");
}

fn a_refused_request_leaves_no_message(peer: Peer) {
    let server = peer.start_with(&Settings { max_message_bytes: 10, ..Settings::default() });
    let mut consumer = server.subscribe("orders", "ship", 5);
    for (path, body) in [
        ("/pub?topic=orders&defer=soon", "one"),
        ("/mpub?topic=orders", "one\n12345678901"),
        ("/mpub?topic=orders&binary=true", "\0\0\0\x02\0\0\0\x03one"),
    ] {
        assert!(server.post(path, body).status >= 400, "{path}");
    }
    assert!(consumer.is_quiet(QUIET));
    assert_eq!(server.channel("orders")["message_count"], 0);
}

fn topics_and_channels_are_made_and_deleted(peer: Peer) {
    let server = peer.start();
    let topics = || server.get("/stats?format=json").json()["topics"].clone();
    server.order("/topic/create?topic=orders");
    server.order("/channel/create?topic=orders&channel=ship");
    server.order("/channel/create?topic=orders&channel=bill");
    assert_eq!(topics()[0]["topic_name"], "orders");
    assert_eq!(topics()[0]["channels"][0]["channel_name"], "bill");
    let mut consumer = server.subscribe("orders", "ship", 1);
    let mut other = server.subscribe("orders", "bill", 1);
    server.order("/channel/delete?topic=orders&channel=ship");
    assert!(consumer.is_closed(), "its channel is gone");
    assert_eq!(topics()[0]["channels"].as_array().unwrap().len(), 1);
    server.publish("orders", "1");
    assert_eq!(other.message().body, "1");
    let mut producer = server.connect();
    producer.publish("orders", "2");
    server.order("/topic/delete?topic=orders");
    assert!(other.is_closed(), "its topic is gone");
    assert_eq!(topics(), json!([]));
    producer.publish("orders", "3");
    assert_eq!(bodies(&server, 1), ["3"], "a new topic of the same name");
}

fn an_emptied_channel_is_empty(peer: Peer) {
    let server = peer.start();
    server.order("/topic/create?topic=orders");
    server.order("/channel/create?topic=orders&channel=ship");
    assert_eq!(server.post("/mpub?topic=orders", "1\n2\n3").body, "OK");
    server.becomes("orders", "depth", 3);
    server.order("/channel/empty?topic=orders&channel=ship");
    server.becomes("orders", "depth", 0);
    assert_eq!(server.channel("orders")["message_count"], 3);
    assert_eq!(bodies(&server, 0), [""; 0]);
}

fn pauses_are_shown_and_lifted(peer: Peer) {
    let server = peer.start();
    server.order("/topic/create?topic=orders");
    server.order("/channel/create?topic=orders&channel=ship");
    let check = |topic: bool, channel: bool| {
        let stats = server.get("/stats?format=json").json();
        let stats = &stats["topics"][0];
        assert_eq!((&stats["paused"], &stats["channels"][0]["paused"]), (&topic.into(), &channel.into()));
    };
    check(false, false);
    server.order("/topic/pause?topic=orders");
    check(true, false);
    server.order("/topic/unpause?topic=orders");
    server.order("/channel/pause?topic=orders&channel=ship");
    server.order("/channel/pause?topic=orders&channel=ship");
    check(false, true);
    server.order("/channel/unpause?topic=orders&channel=ship");
    check(false, false);
}

fn info_names_the_server(peer: Peer) {
    let server = peer.start();
    let answer = server.get("/info");
    assert!(answer.head.contains("content-type: application/json; charset=utf-8"), "{}", answer.head);
    let info = answer.json();
    let expected = json!({
        "version": info["version"],
        "broadcast_address": "127.0.0.1",
        "hostname": info["hostname"],
        "http_port": server.http.port(),
        "tcp_port": server.tcp.port(),
        "start_time": info["start_time"],
        "max_heartbeat_interval": 60_000_000_000_u64,
        "max_output_buffer_size": 65536,
        "max_output_buffer_timeout": 30_000_000_000_u64,
        "max_deflate_level": 6,
    });
    assert_eq!(info, expected);
    assert!(info["version"].as_str().unwrap().starts_with("1.3.0"));
    assert!(!info["hostname"].as_str().unwrap().is_empty());
    assert!(info["start_time"].as_u64().unwrap() > 1_600_000_000);
}

fn options_are_shown_and_two_are_changed(peer: Peer) {
    let server = peer.start();
    let show = |option: &str, expected: &str| {
        let answer = server.get(&format!("/config/{option}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{option}");
    };
    let put =
        |option: &str, body: &str| request(server.http, "PUT", &format!("/config/{option}"), body.as_bytes());
    let change = |option: &str, body: &str, expected: &str| {
        let answer = put(option, body);
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{option} {body}");
    };
    let refuse = |option: &str, body: &str, status: u16, word: &str| {
        let answer = put(option, body);
        assert_eq!(
            (answer.status, answer.body),
            (status, json!({"message": word}).to_string()),
            "{option} {body}"
        );
    };
    show("log_level", "2");
    for (word, number) in [("Debug", "1"), ("info", "2"), ("WARN", "3"), ("error", "4"), ("fatal", "5")] {
        change("log_level", word, number);
    }
    show("log_level", "5");
    refuse("log_level", "bad", 400, "INVALID_VALUE");
    refuse("log_level", "", 413, "INVALID_VALUE");
    refuse("msg_timeout", "1", 400, "INVALID_OPTION");
    refuse("nothing", "1", 400, "INVALID_OPTION");
    show("msg_timeout", "60000000000");
    show("max_msg_size", "1048576");
    let answer = server.get("/config/nothing");
    assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"message":"INVALID_OPTION"}"#));
    show("nsqlookupd_tcp_addresses", "[]");
    refuse("nsqlookupd_tcp_addresses", "[\"127.0.0.1:1\"", 400, "INVALID_VALUE");
    change("nsqlookupd_tcp_addresses", r#"["127.0.0.1:1"]"#, r#"["127.0.0.1:1"]"#);
    show("nsqlookupd_tcp_addresses", r#"["127.0.0.1:1"]"#);
}

fn null_is_taken_as_go_takes_it(peer: Peer) {
    let server = peer.start();
    let addresses = "/config/nsqlookupd_tcp_addresses";
    assert_eq!(server.get(addresses).body, "[]");
    for (body, shown) in [("null", "null"), ("[]", "[]"), (" null ", "null")] {
        let answer = request(server.http, "PUT", addresses, body.as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (200, shown), "{body}");
        assert_eq!(server.get(addresses).body, shown);
    }
    for (option, body, word) in [
        ("nsqlookupd_tcp_addresses", "{}", "INVALID_VALUE"),
        ("nsqlookupd_tcp_addresses", "\"\"", "INVALID_VALUE"),
        ("log_level", "null", "INVALID_VALUE"),
        ("log_level", "\"info\"", "INVALID_VALUE"),
        ("nothing", "null", "INVALID_OPTION"),
    ] {
        refuse(&server, "PUT", &format!("/config/{option}"), body, 400, word);
    }
}

fn the_head_of_nothing_is_not_found(peer: Peer) {
    let server = peer.start();
    for path in ["/nothing", "/", "/topic/nothing", "/config/"] {
        let answer = request(server.http, "HEAD", path, b"");
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{path}");
    }
    for path in ["/config/log_level", "/config/nothing", "/channel/create", "/stats?topic=%zz"] {
        let answer = request(server.http, "HEAD", path, b"");
        assert_eq!((answer.status, answer.body.as_str()), (405, ""), "{path}");
    }
}

fn a_request_names_its_host(peer: Peer) {
    let server = peer.start();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (answer[9..12].parse::<u16>().unwrap(), body)
    };
    let bad = |text: &str| (400, text.to_owned());
    let missing = bad("400 Bad Request: missing required Host header");
    assert_eq!(ask("GET /ping HTTP/1.1\r\n\r\n"), missing);
    assert_eq!(ask("POST /nothing HTTP/1.1\r\ncontent-length: 0\r\n\r\n"), missing);
    assert_eq!(ask("GET http://localhost/ping HTTP/1.1\r\n\r\n"), missing);
    assert_eq!(ask("GET /ping HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"), bad("400 Bad Request"));
    let malformed = bad("400 Bad Request: malformed Host header");
    assert_eq!(ask("GET /ping HTTP/1.1\r\nhost: a b\r\n\r\n"), malformed);
    let ok = (200, "OK".to_owned());
    assert_eq!(ask("GET /ping HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n"), ok);
    assert_eq!(ask("GET /ping HTTP/1.0\r\n\r\n"), ok);
}
