//! The connection itself: the magic, lines, commands that nobody knows, heartbeats.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bis_nsq::Frame;
use serde_json::json;

use crate::against_both;
use crate::support::peer::Peer;

against_both! {
    a_stranger_is_told_so,
    an_unknown_command_is_fatal,
    an_empty_line_is_no_command,
    a_line_may_end_like_on_windows,
    an_endless_line_ends_the_connection,
    heartbeats_come_as_asked,
    who_answers_no_heartbeat_is_let_go,
    heartbeats_can_be_switched_off_but_not_for_consumers,
}

fn a_stranger_is_told_so(peer: Peer) {
    let server = peer.start();
    let mut stranger = TcpStream::connect(server.tcp).unwrap();
    stranger.write_all(b"GET ").unwrap();
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"\0\0\0\x12\0\0\0\x01E_BAD_PROTOCOL");
}

fn an_unknown_command_is_fatal(peer: Peer) {
    let server = peer.start();
    for (line, text) in [
        ("ASDF\n", "E_INVALID invalid command ASDF"),
        ("pub orders\n", "E_INVALID invalid command pub"),
        (" NOP\n", "E_INVALID invalid command "),
    ] {
        let mut client = server.connect();
        client.send_raw(line.as_bytes());
        client.ends_with(text);
    }
}

fn an_empty_line_is_no_command(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_raw(b"\n\n");
    client.ends_with("E_INVALID invalid command ");
}

fn a_line_may_end_like_on_windows(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_raw(b"NOP\r\nPUB orders\r\n\0\0\0\x01xSUB orders ship\r\n");
    assert_eq!((client.response(), client.response()), ("OK".into(), "OK".into()));
}

fn an_endless_line_ends_the_connection(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_raw(&[b'x'; 20 * 1024]);
    // nsqd says nothing, the router says why; either way it is over.
    let last = client.try_frame();
    assert!(matches!(last, None | Some(Frame::Error(_))), "{last:?}");
    assert!(client.is_closed());
}

fn heartbeats_come_as_asked(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.identify(&json!({"heartbeat_interval": 1000})).unwrap();
    client.send_raw(b"SUB orders ship\n");
    assert_eq!(client.response(), "OK");
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.next_frame(), Some(Frame::Response("_heartbeat_".into())));
        client.send_raw(b"NOP\n");
    }
    let elapsed = started.elapsed();
    assert!((2000..4500).contains(&elapsed.as_millis()), "three seconds, more or less: {elapsed:?}");
    client.send_raw(b"CLS\n");
    assert_eq!(client.response(), "CLOSE_WAIT", "it outlived twice its interval");
}

fn who_answers_no_heartbeat_is_let_go(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.identify(&json!({"heartbeat_interval": 1000})).unwrap();
    let started = Instant::now();
    while client.next_frame().is_some() {}
    let elapsed = started.elapsed();
    assert!((1900..4500).contains(&elapsed.as_millis()), "twice the interval: {elapsed:?}");
}

fn heartbeats_can_be_switched_off_but_not_for_consumers(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    assert_eq!(client.identify(&json!({"heartbeat_interval": -1})).unwrap(), "OK");
    assert!(client.is_quiet(Duration::from_millis(300)));
    client.publish("orders", "x");
    client.send_raw(b"SUB orders ship\n");
    client.ends_with("E_INVALID cannot SUB with heartbeats disabled");
}
