//! Negotiation: what IDENTIFY takes, what it grants, and its bounds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::against_both;
use crate::support::peer::{Peer, Settings};

against_both! {
    without_negotiation_the_answer_is_ok,
    the_answer_names_the_limits,
    what_is_asked_within_bounds_is_granted,
    what_is_asked_out_of_bounds_is_refused,
    the_bounds_of_settings_hold,
    it_may_be_repeated_until_the_subscription,
    its_body_must_be_json_of_the_right_types,
    its_size_is_checked_first,
    unknown_fields_are_overlooked,
}

fn negotiate(client: &mut crate::support::Client, mut ask: Value) -> Value {
    ask["feature_negotiation"] = true.into();
    serde_json::from_str(&client.identify(&ask).unwrap()).unwrap()
}

fn without_negotiation_the_answer_is_ok(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    assert_eq!(client.identify(&json!({})).unwrap(), "OK");
    assert_eq!(client.identify(&json!({"client_id": "a", "hostname": "b"})).unwrap(), "OK");
}

fn the_answer_names_the_limits(peer: Peer) {
    let server = peer.start();
    let reply = negotiate(&mut server.connect(), json!({}));
    let expected = json!({
        "max_rdy_count": 2500,
        "version": reply["version"],
        "max_msg_timeout": 900_000,
        "msg_timeout": 60_000,
        "tls_v1": false,
        "deflate": false,
        "deflate_level": 6,
        "max_deflate_level": 6,
        "snappy": false,
        "sample_rate": 0,
        "auth_required": false,
        "output_buffer_size": 16384,
        "output_buffer_timeout": 250,
    });
    assert_eq!(reply, expected);
    assert!(reply["version"].as_str().unwrap().starts_with("1.3.0"));
}

fn what_is_asked_within_bounds_is_granted(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    let mut check = |ask: Value, size: i64, timeout: i64, message_timeout: i64| {
        let reply = negotiate(&mut client, ask.clone());
        assert_eq!(
            (&reply["output_buffer_size"], &reply["output_buffer_timeout"], &reply["msg_timeout"]),
            (&size.into(), &timeout.into(), &message_timeout.into()),
            "{ask}"
        );
    };
    check(json!({"msg_timeout": 1000}), 16384, 250, 1000);
    // A second negotiation changes only what it names.
    check(json!({"output_buffer_size": 64, "output_buffer_timeout": 25}), 64, 25, 1000);
    check(json!({"output_buffer_size": 65536, "output_buffer_timeout": 30_000}), 65536, 30_000, 1000);
    check(json!({"msg_timeout": 900_000}), 65536, 30_000, 900_000);
    check(json!({"output_buffer_timeout": -1}), 65536, 0, 900_000);
    check(json!({"output_buffer_timeout": 100}), 65536, 100, 900_000);
    check(json!({"output_buffer_size": -1}), 1, 0, 900_000);
    let reply = negotiate(&mut client, json!({"heartbeat_interval": 60_000, "sample_rate": 99}));
    assert_eq!(reply["sample_rate"], 99);
    assert_eq!(negotiate(&mut client, json!({}))["sample_rate"], 0, "asked anew each time");
}

fn what_is_asked_out_of_bounds_is_refused(peer: Peer) {
    let server = peer.start();
    let check = |ask: Value, text: &str| {
        let mut client = server.connect();
        assert_eq!(client.identify(&ask).unwrap_err(), format!("E_BAD_BODY IDENTIFY {text} is invalid"));
        assert!(client.is_closed());
    };
    for millis in [-2, 1, 999, 60_001] {
        check(json!({"heartbeat_interval": millis}), &format!("heartbeat interval ({millis})"));
    }
    for bytes in [-2, 1, 63, 65_537] {
        check(json!({"output_buffer_size": bytes}), &format!("output buffer size ({bytes})"));
    }
    for millis in [-2, 1, 24, 30_001] {
        check(json!({"output_buffer_timeout": millis}), &format!("output buffer timeout ({millis})"));
    }
    for percent in [-1, 100] {
        check(json!({"sample_rate": percent}), &format!("sample rate ({percent})"));
    }
    for millis in [-1, 1, 999, 900_001] {
        check(json!({"msg_timeout": millis}), &format!("msg timeout ({millis})"));
    }
    // The first that is wrong, in nsqd's order.
    check(json!({"msg_timeout": 1, "sample_rate": 100}), "sample rate (100)");
    check(json!({"output_buffer_timeout": 1, "output_buffer_size": 1}), "output buffer timeout (1)");
    check(json!({"output_buffer_timeout": 1, "heartbeat_interval": 1}), "heartbeat interval (1)");
}

fn the_bounds_of_settings_hold(peer: Peer) {
    let settings = Settings {
        max_ready_count: 50,
        message_timeout: Duration::from_secs(5),
        max_message_timeout: Duration::from_secs(10),
        max_body_bytes: 1000,
        ..Settings::default()
    };
    let server = peer.start_with(&settings);
    let reply = negotiate(&mut server.connect(), json!({}));
    assert_eq!(
        (&reply["max_rdy_count"], &reply["msg_timeout"], &reply["max_msg_timeout"]),
        (&50.into(), &5000.into(), &10_000.into())
    );
    let refused = server.connect().identify(&json!({"msg_timeout": 10_001})).unwrap_err();
    assert_eq!(refused, "E_BAD_BODY IDENTIFY msg timeout (10001) is invalid");
    let refused = server.connect().identify(&json!({"user_agent": "x".repeat(1000)})).unwrap_err();
    assert_eq!(refused, "E_BAD_BODY IDENTIFY body too big 1017 > 1000");
}

fn it_may_be_repeated_until_the_subscription(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.identify(&json!({"hostname": "h"})).unwrap(), "OK");
    }
    client.send_raw(b"SUB orders ship\n");
    assert_eq!(client.response(), "OK");
    assert_eq!(client.identify(&json!({})).unwrap_err(), "E_INVALID cannot IDENTIFY in current state");
    assert!(client.is_closed());
}

fn its_body_must_be_json_of_the_right_types(peer: Peer) {
    let server = peer.start();
    for body in [
        "[",
        "[]",
        "{",
        "{}}",
        "\"a\"",
        "1",
        r#"{"client_id": 1}"#,
        r#"{"msg_timeout": "1s"}"#,
        r#"{"heartbeat_interval": 1000.5}"#,
        r#"{"tls_v1": "yes"}"#,
        r#"{"sample_rate": 4294967296}"#,
    ] {
        let mut client = server.connect();
        client.send_sized("IDENTIFY", body.as_bytes());
        client.ends_with("E_BAD_BODY IDENTIFY failed to decode JSON body");
    }
    let mut client = server.connect();
    client.send_sized("IDENTIFY", b"{\"hostname\": \"gr\xfc\xdfe\"}");
    assert_eq!(client.response(), "OK", "what is not text within a text is replaced");
    for body in ["null", " {} ", r#"{"client_id": null}"#, r#"{"msg_timeout": 1000, "msg_timeout": 2000}"#] {
        let mut client = server.connect();
        client.send_sized("IDENTIFY", body.as_bytes());
        assert_eq!(client.response(), "OK", "{body}");
    }
}

fn its_size_is_checked_first(peer: Peer) {
    let server = peer.start();
    let check = |length: [u8; 4], text: &str| {
        let mut client = server.connect();
        client.send_raw(b"IDENTIFY\n");
        client.send_raw(&length);
        client.ends_with(text);
    };
    check([0, 0, 0, 0], "E_BAD_BODY IDENTIFY invalid body size 0");
    check([255, 255, 255, 255], "E_BAD_BODY IDENTIFY invalid body size -1");
    check([0, 0x50, 0, 1], "E_BAD_BODY IDENTIFY body too big 5242881 > 5242880");
}

fn unknown_fields_are_overlooked(peer: Peer) {
    let server = peer.start();
    let ask = json!({"short_id": "a", "long_id": "a.b", "color": {"r": 1}, "deflate_level": 6});
    assert_eq!(server.connect().identify(&ask).unwrap(), "OK");
    // A word after the command too.
    let mut client = server.connect();
    client.send_sized("IDENTIFY now", b"{}");
    assert_eq!(client.response(), "OK");
}
