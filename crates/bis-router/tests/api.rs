//! nsqd's HTTP API as nsqd v1.3.0 answers: words, statuses, shapes. What is Bis's own stands in tests of its own.

mod support;

use serde_json::json;
use support::http::{get, post, request};
use support::{Client, options, start};

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_nsqds_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    (options.max_message_bytes, options.max_body_bytes) = (10, 20);
    let router = bis_router::Router::start(options).await.unwrap();
    let address = router.http_address();
    assert_eq!(post(address, "/topic/create?topic=t", "").status, 200);
    let check = |method: &str, path: &str, body: &str, status: u16, word: &str| {
        let answer = request(address, method, path, body.as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (status, word), "{method} {path}");
        assert!(answer.head.contains("x-nsq-content-type: nsq; version=1.0"), "{path}: {}", answer.head);
    };
    let refuse = |method: &str, path: &str, body: &str, status: u16, word: &str| {
        check(method, path, body, status, &json!({"message": word}).to_string());
    };
    for (path, body, status, word) in [
        ("/pub", "x", 400, "MISSING_ARG_TOPIC"),
        ("/pub?topic=", "x", 400, "INVALID_TOPIC"),
        ("/pub?topic=%zz", "x", 400, "INVALID_REQUEST"),
        ("/pub?topic=%zz", "", 400, "MSG_EMPTY"),
        ("/pub?topic=t", "12345678901", 413, "MSG_TOO_BIG"),
        ("/pub?topic=t&defer=soon", "x", 400, "INVALID_DEFER"),
        ("/pub?topic=t&defer=-1", "x", 400, "INVALID_DEFER"),
        ("/pub?topic=t&defer=99999999999999", "x", 400, "INVALID_DEFER"),
        ("/mpub?topic=t", "123456789012345678901", 413, "BODY_TOO_BIG"),
        ("/mpub?topic=t", "a\n12345678901", 413, "MSG_TOO_BIG"),
        ("/mpub?topic=t&binary=true", "x", 413, "BAD_BODY"),
        ("/mpub?topic=t&binary=true", "\0\0\0\x01\0\0\0\x02x", 413, "BAD_MESSAGE"),
        ("/topic/create", "", 400, "MISSING_ARG_TOPIC"),
        ("/topic/create?topic=a%20b", "", 400, "INVALID_TOPIC"),
        ("/topic/delete?topic=a%20b", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/delete?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/empty?topic=a%20b", "", 400, "INVALID_TOPIC"),
        ("/topic/empty?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/topic/pause?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("/channel/create?topic=a%20b", "", 400, "INVALID_ARG_TOPIC"),
        ("/channel/create?topic=t", "", 400, "MISSING_ARG_CHANNEL"),
        ("/channel/create?topic=t&channel=a%20b", "", 400, "INVALID_ARG_CHANNEL"),
        ("/channel/create?topic=none&channel=c", "", 404, "TOPIC_NOT_FOUND"),
        ("/channel/delete?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/empty?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/unpause?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"),
        ("/nothing", "", 404, "NOT_FOUND"),
        ("/info", "", 405, "METHOD_NOT_ALLOWED"),
    ] {
        refuse("POST", path, body, status, word);
    }
    refuse("GET", "/pub?topic=t", "", 405, "METHOD_NOT_ALLOWED");
    for (path, body) in [("/pub?topic=t", "x"), ("/mpub?topic=t", "a\nb"), ("/mpub?topic=u", "")] {
        check("POST", path, body, 200, "OK");
    }
    check("POST", "/mpub?topic=t&binary=yes", "\0\0\0\x01\0\0\0\x01x", 200, "OK");
    check("POST", "/channel/create?topic=t&channel=c", "", 200, "");
    let ping = get(address, "/ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, "OK"));
    assert!(!ping.head.contains("x-nsq-content-type"), "{}", ping.head);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_shown_and_two_are_changed() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.http_address();
    let check = |method: &str, option: &str, body: &str, expected: (u16, &str)| {
        let answer = request(address, method, &format!("/config/{option}"), body.as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), expected, "{method} {option} {body}");
    };
    check("GET", "log_level", "", (200, "2"));
    check("PUT", "log_level", "Debug", (200, "1"));
    check("GET", "log_level", "", (200, "1"));
    check("PUT", "log_level", "loud", (400, r#"{"message":"INVALID_VALUE"}"#));
    check("PUT", "log_level", "", (413, r#"{"message":"INVALID_VALUE"}"#));
    check("PUT", "msg_timeout", "1", (400, r#"{"message":"INVALID_OPTION"}"#));
    check("GET", "msg_timeout", "", (200, "60000000000"));
    check("GET", "nothing", "", (400, r#"{"message":"INVALID_OPTION"}"#));
    check("GET", "tcp_address", "", (200, "127.0.0.1:0"));
    check("GET", "nsqlookupd_tcp_addresses", "", (200, "[]"));
    check("PUT", "nsqlookupd_tcp_addresses", "[\"127.0.0.1:1\"", (400, r#"{"message":"INVALID_VALUE"}"#));
    check("PUT", "nsqlookupd_tcp_addresses", r#"["127.0.0.1:1"]"#, (200, r#"["127.0.0.1:1"]"#));
    check("GET", "nsqlookupd_tcp_addresses", "", (200, r#"["127.0.0.1:1"]"#));
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_can_be_narrowed() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.http_address();
    let empty = get(address, "/stats?format=json").json();
    assert_eq!((&empty["topics"], &empty["producers"]), (&json!([]), &json!(null)));
    assert!(empty["memory"]["heap_in_use_bytes"].as_u64().unwrap() > 0, "{empty}");

    let mut publisher = Client::connect(router.tcp_address());
    publisher.publish("zoo", "one");
    publisher.publish("ark", "two");
    let _first = Client::subscribe(router.tcp_address(), "zoo", "feed", 0);
    let _second = Client::subscribe(router.tcp_address(), "zoo", "clean", 0);

    let all = get(address, "/stats?format=json").json();
    assert_eq!([&all["topics"][0]["topic_name"], &all["topics"][1]["topic_name"]], ["ark", "zoo"]);
    assert_eq!(all["topics"][1]["channels"][1]["channel_name"], "feed");
    assert_eq!(all["topics"][1]["channels"][1]["clients"][0]["state"], 3);
    let counts = &all["producers"][0]["pub_counts"];
    assert_eq!(*counts, json!([{"topic": "ark", "count": 1}, {"topic": "zoo", "count": 1}]));

    let few =
        get(address, "/stats?format=json&topic=zoo&channel=feed&include_clients=0&include_mem=false").json();
    assert_eq!(few["topics"].as_array().unwrap().len(), 1);
    let channels = few["topics"][0]["channels"].as_array().unwrap();
    assert_eq!((channels.len(), &channels[0]["clients"]), (1, &json!(null)));
    assert_eq!((channels[0]["client_count"].as_u64(), few.get("memory")), (Some(1), None));
    assert_eq!(get(address, "/stats?format=json&topic=none").json()["topics"], json!(null));
    assert_eq!(get(address, "/stats?format=json&topic=ark&channel=feed").json()["topics"], json!([]));

    let text = get(address, "/stats").body;
    for part in [
        "Health: OK\n",
        "\n   [ark            ] depth: 1     be-depth: 1     msgs: 1        e2e%: \n",
        "\n      [feed                     ] depth: 1     be-depth: 1     inflt: 0    def: 0    re-q: 0     timeout: 0  ",
        "\n        [V2 127.0.0.1:",
        "\nProducers:\n   [V2 127.0.0.1:",
        "msgs: 2        topics: ark=1,zoo=1 connected: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    drop(publisher);
    let gone = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while get(address, "/stats").body.contains("topics: ark=1") {
        assert!(std::time::Instant::now() < gone, "the producer stays in the statistics");
    }
    router.shutdown().await.unwrap();
}
