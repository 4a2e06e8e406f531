//! Negotiation: what IDENTIFY takes, what it grants, and its bounds.

use serde_json::{Value, json};

use crate::against_both;
use crate::support::peer::Peer;

against_both! {
    without_negotiation_the_answer_is_ok,
    what_is_asked_out_of_bounds_is_refused,
    it_may_be_repeated_until_the_subscription,
    its_size_is_checked_first,
    unknown_fields_are_overlooked,
}

fn without_negotiation_the_answer_is_ok(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    assert_eq!(client.identify(&json!({})).unwrap(), "OK");
    assert_eq!(client.identify(&json!({"client_id": "a", "hostname": "b"})).unwrap(), "OK");
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
