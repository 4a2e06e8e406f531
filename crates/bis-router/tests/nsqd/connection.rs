//! The connection itself: the magic, lines, commands that nobody knows, heartbeats.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bis_nsq::Frame;
use serde_json::json;

use crate::against_both;
use crate::support::peer::{Peer, Settings};

against_both! {
    a_stranger_is_told_so,
    an_unknown_command_is_fatal,
    an_empty_line_is_no_command,
    a_line_may_end_like_on_windows,
    an_endless_line_ends_the_connection,
    heartbeats_come_as_asked,
    who_answers_no_heartbeat_is_let_go,
    heartbeats_can_be_switched_off_but_not_for_consumers,
    who_has_switched_them_off_may_be_silent,
    the_longest_interval_is_only_for_those_who_ask,
    the_system_asks_whether_a_silent_client_is_there,
    who_does_not_wait_for_an_error_harms_nobody,
    what_is_cut_off_is_named,
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

fn who_has_switched_them_off_may_be_silent(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.identify(&json!({"heartbeat_interval": 1000})).unwrap();
    client.identify(&json!({"heartbeat_interval": -1})).unwrap();
    // Longer than twice the interval that it had.
    std::thread::sleep(Duration::from_millis(2500));
    client.publish("orders", "x");
}

fn the_longest_interval_is_only_for_those_who_ask(peer: Peer) {
    let max_heartbeat_interval = Duration::from_secs(1);
    let server = peer.start_with(&Settings { max_heartbeat_interval, ..Settings::default() });
    let refused = server.connect().identify(&json!({"heartbeat_interval": 1001})).unwrap_err();
    assert_eq!(refused, "E_BAD_BODY IDENTIFY heartbeat interval (1001) is invalid");
    let mut client = server.connect();
    assert_eq!(client.identify(&json!({})).unwrap(), "OK");
    assert!(client.is_quiet(Duration::from_millis(1500)), "it has the usual 30 seconds");
    let max_heartbeat_interval = Duration::from_secs(300);
    let server = peer.start_with(&Settings { max_heartbeat_interval, ..Settings::default() });
    assert_eq!(server.connect().identify(&json!({"heartbeat_interval": 300_000})).unwrap(), "OK");
    let refused = server.connect().identify(&json!({"heartbeat_interval": 300_001})).unwrap_err();
    assert_eq!(refused, "E_BAD_BODY IDENTIFY heartbeat interval (300001) is invalid");
}

/// Nobody else notices a client that vanished, when it was to answer no heartbeats.
fn the_system_asks_whether_a_silent_client_is_there(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.identify(&json!({"heartbeat_interval": -1})).unwrap();
    let shown = |address: SocketAddr| {
        let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
        format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
    };
    let (ours, theirs) = (shown(client.local_address()), shown(server.tcp));
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        // Linux shows its sockets there: addresses, state, queues, and which timer runs.
        let Ok(sockets) = std::fs::read_to_string("/proc/net/tcp") else { return };
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut sockets = sockets.lines().map(words);
        let socket = sockets.find(|words| words[1] == theirs && words[2] == ours).unwrap();
        if socket[5].starts_with("02:") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no timer for a silent client");
}

fn who_does_not_wait_for_an_error_harms_nobody(peer: Peer) {
    let server = peer.start();
    let mut other = server.connect();
    for _ in 0..20 {
        let mut client = server.connect();
        client.send_raw(b"SUB orders ship\nFIN 0123456789abcdef\nFIN 0123456789abcdef\nASDF\n");
    }
    other.publish("orders", "x");
    let mut consumer = server.subscribe("orders", "ship", 1);
    assert_eq!(consumer.message().body, "x");
    server.becomes("orders", "client_count", 1);
}

/// The client sends no more, and is told what its last command lacked.
fn what_is_cut_off_is_named(peer: Peer) {
    let server = peer.start();
    for (bytes, text) in [
        (&b"PUB orders\n\0\0"[..], "E_BAD_MESSAGE PUB failed to read message body size"),
        (b"PUB orders\n\0\0\0\x02x", "E_BAD_MESSAGE PUB failed to read message body"),
        (b"DPUB orders 1\n", "E_BAD_MESSAGE DPUB failed to read message body size"),
        (b"DPUB orders 1\n\0\0\0\x02x", "E_BAD_MESSAGE DPUB failed to read message body"),
        (b"MPUB orders\n", "E_BAD_BODY MPUB failed to read body size"),
        (b"MPUB orders\n\0\0\0\x0a\0", "E_BAD_BODY MPUB failed to read message count"),
        (
            b"MPUB orders\n\0\0\0\x0d\0\0\0\x02\0\0\0\x01x",
            "E_BAD_MESSAGE MPUB failed to read message(1) body size",
        ),
        (b"MPUB orders\n\0\0\0\x0d\0\0\0\x01\0\0\0\x02x", "E_BAD_MESSAGE MPUB failed to read message body"),
        (b"IDENTIFY\n\0", "E_BAD_BODY IDENTIFY failed to read body size"),
        (b"IDENTIFY\n\0\0\0\x02{", "E_BAD_BODY IDENTIFY failed to read body"),
        (b"AUTH\n", "E_BAD_BODY AUTH failed to read body size"),
        (b"AUTH\n\0\0\0\x02x", "E_BAD_BODY AUTH failed to read body"),
    ] {
        let mut client = server.connect();
        client.send_raw(bytes);
        client.finish_sending();
        client.ends_with(text);
    }
    for bytes in [&b""[..], b"PUB orders", b"NOP\n"] {
        let mut client = server.connect();
        client.send_raw(bytes);
        client.finish_sending();
        assert!(client.is_closed(), "without a word: {bytes:?}");
    }
}
