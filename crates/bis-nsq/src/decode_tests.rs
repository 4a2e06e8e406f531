//! The exact bytes of each command, in both directions, and nsqd's words for each mistake.

use bytes::BufMut;

use super::*;
use crate::Bodies;

/// A gate that allows every command.
fn decode_command(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Command>, ProtocolError> {
    super::decode_command(buffer, limits, |_| Ok(()))
}

const ID: MessageId = MessageId::new(*b"0123456789abcdef");

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Checks that the command encodes to the bytes, and that they decode to the command, at once or byte by byte.
fn check(command: &Command, bytes: &[u8]) {
    let limits = Limits { extensions: true, ..Limits::default() };
    let mut encoded = BytesMut::new();
    command.encode(&mut encoded);
    assert_eq!(encoded, bytes, "{command:?}");

    let mut received = BytesMut::new();
    let (last, first) = bytes.split_last().unwrap();
    for byte in first {
        received.put_u8(*byte);
        assert_eq!(decode_command(&mut received, &limits), Ok(None), "{command:?}");
    }
    received.put_u8(*last);
    received.put_slice(b"NOP\n");
    assert_eq!(decode_command(&mut received, &limits).as_ref(), Ok(&Some(command.clone())));
    assert_eq!(&received[..], b"NOP\n");
}

#[test]
fn commands_have_these_bytes() {
    check(&Command::Identify(Bytes::from_static(b"{}")), b"IDENTIFY\n\0\0\0\x02{}");
    check(&Command::Auth(Bytes::from_static(b"s")), b"AUTH\n\0\0\0\x01s");
    let subscribe = |ordered| Command::Subscribe { topic: name("t"), channel: name("c#ephemeral"), ordered };
    check(&subscribe(false), b"SUB t c#ephemeral\n");
    check(&subscribe(true), b"SUB t c#ephemeral ordered\n");
    check(&Command::Ready(2500), b"RDY 2500\n");
    check(&Command::Finish(ID), b"FIN 0123456789abcdef\n");
    check(&Command::Touch(ID), b"TOUCH 0123456789abcdef\n");
    check(&Command::Release { id: ID, delay: None }, b"RELEASE 0123456789abcdef\n");
    let delay = Some(Duration::from_millis(1500));
    check(&Command::Release { id: ID, delay }, b"RELEASE 0123456789abcdef 1500\n");
    check(&Command::Requeue { id: ID, delay: Duration::from_millis(1500) }, b"REQ 0123456789abcdef 1500\n");
    check(
        &Command::Publish { topic: name("t"), body: Bytes::from_static(b"a\nb\0") },
        b"PUB t\n\0\0\0\x04a\nb\0",
    );
    check(
        &Command::MultiPublish { topic: name("t"), bodies: [&b"x"[..], b"yz"].into_iter().collect() },
        b"MPUB t\n\0\0\0\x0f\0\0\0\x02\0\0\0\x01x\0\0\0\x02yz",
    );
    check(
        &Command::DeferredPublish {
            topic: name("t"),
            delay: Duration::from_millis(7),
            body: Bytes::from_static(b"x"),
        },
        b"DPUB t 7\n\0\0\0\x01x",
    );
    let headed =
        |headers| Command::HeadedPublish { topic: name("t"), headers, body: Bytes::from_static(b"x") };
    check(&headed(Headers::default()), b"HPUB t\n\0\0\0\x02\0x");
    let (event, key) = (Some(*b"0123456789abcdef"), Some(Bytes::from_static(b"k\n")));
    check(
        &headed(Headers { event, key, delay: Duration::from_millis(258), ..Headers::default() }),
        b"HPUB t\n\0\0\0\x20\x070123456789abcdef\0\0\0\x02k\n\0\0\0\0\0\0\x01\x02x",
    );
    let empty_key = Headers { key: Some(Bytes::new()), ..Headers::default() };
    check(&headed(empty_key), b"HPUB t\n\0\0\0\x06\x02\0\0\0\0x");
    let from_handler = Headers { is_from_handler: true, ..Headers::default() };
    check(&headed(from_handler), b"HPUB t\n\0\0\0\x02\x08x");
    let receipt = Headers { wants_receipt: true, ..Headers::default() };
    check(&headed(receipt), b"HPUB t\n\0\0\0\x02\x10x");
    let peek = |after| Command::Peek { topic: name("t"), channel: name("c"), limit: 100, after };
    check(&peek(None), b"PEEK t c 100\n");
    check(&peek(Some(7)), b"PEEK t c 100 7\n");
    let replay = |from| Command::Replay { topic: name("t"), channel: name("c"), from };
    check(&replay(ReplayFrom::Sequence(0)), b"REPLAY t c sequence 0\n");
    check(&replay(ReplayFrom::Time(u64::MAX)), b"REPLAY t c time 18446744073709551615\n");
    let retain = |max_age| Command::Retain { topic: name("t"), max_age, max_bytes: 7 };
    check(&retain(Duration::from_secs(60)), b"RETAIN t 60 7\n");
    let mut bytes = BytesMut::new();
    retain(Duration::from_millis(1)).encode(&mut bytes);
    assert_eq!(&bytes[..], b"RETAIN t 1 7\n", "less than a second is not nothing");
    check(&Command::Close, b"CLS\n");
    check(&Command::Nop, b"NOP\n");
}

#[test]
fn a_line_may_end_with_a_carriage_return() {
    let mut received = BytesMut::from(&b"PUB t\r\n\0\0\0\x01xRDY\r\n"[..]);
    let limits = Limits::default();
    let publish = Command::Publish { topic: name("t"), body: Bytes::from_static(b"x") };
    assert_eq!(decode_command(&mut received, &limits), Ok(Some(publish)));
    assert_eq!(decode_command(&mut received, &limits), Ok(Some(Command::Ready(1))));
    assert!(received.is_empty());
}

#[test]
fn a_requeue_is_clamped_and_rounded_up() {
    let mut received = BytesMut::from(&b"REQ 0123456789abcdef 99999999999999999999999\n"[..]);
    let hour = Duration::from_secs(3600);
    let command = decode_command(&mut received, &Limits::default());
    assert_eq!(command, Ok(Some(Command::Requeue { id: ID, delay: hour })));

    let mut sent = BytesMut::new();
    Command::Requeue { id: ID, delay: Duration::from_micros(1) }.encode(&mut sent);
    assert_eq!(&sent[..], b"REQ 0123456789abcdef 1\n");
}

#[test]
fn mistakes_are_answered_in_nsqds_words() {
    let limits = Limits { max_message_bytes: 100, max_body_bytes: 1000, ..Limits::default() };
    let check = |bytes: &[u8], text: &str| {
        let error = decode_command(&mut BytesMut::from(bytes), &limits).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(error.is_fatal());
    };
    check(b"HELLO world\n", "E_INVALID invalid command HELLO");
    check(b"\n", "E_INVALID invalid command ");
    check(b"RELEASE 0123456789abcdef\n", "E_INVALID invalid command RELEASE");
    check(b"PUB\n", "E_INVALID PUB insufficient number of parameters");
    check(b"MPUB\n", "E_INVALID MPUB insufficient number of parameters");
    check(b"DPUB t\n", "E_INVALID DPUB insufficient number of parameters");
    check(b"SUB t\n", "E_INVALID SUB insufficient number of parameters");
    check(b"FIN\n", "E_INVALID FIN insufficient number of params");
    check(b"REQ 0123456789abcdef\n", "E_INVALID REQ insufficient number of params");
    check(b"TOUCH\n", "E_INVALID TOUCH insufficient number of params");
    check(b"FIN short\n", "E_INVALID invalid message ID");
    check(b"REQ 0123456789abcdef x\n", "E_INVALID REQ could not parse timeout x");
    check(b"RDY -1\n", "E_INVALID RDY could not parse count -1");
    check(b"RDY 2501\n", "E_INVALID RDY count 2501 out of range 0-2500");
    check(b"AUTH x\n", "E_INVALID AUTH invalid number of parameters");
    check(b"PUB a\"b\xff\n", "E_BAD_TOPIC PUB topic name \"a\\\"b\\xff\" is not valid");
    check(b"MPUB a/b\n", "E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"a/b\" is not valid");
    check(b"DPUB a/b 1\n", "E_BAD_TOPIC DPUB topic name \"a/b\" is not valid");
    check(b"SUB a/b c\n", "E_BAD_TOPIC SUB topic name \"a/b\" is not valid");
    check(b"SUB a c/d\n", "E_BAD_CHANNEL SUB channel name \"c/d\" is not valid");
    check(b"DPUB t x\n", "E_INVALID DPUB could not parse timeout x");
    check(b"DPUB t 3600001\n", "E_INVALID DPUB timeout 3600001 out of range 0-3600000");
    check(b"PUB t\n\0\0\0\x69", "E_BAD_MESSAGE PUB message too big 105 > 100");
    check(b"PUB t\n\0\0\0\0", "E_BAD_MESSAGE PUB invalid message body size 0");
    check(b"DPUB t 1\n\xff\xff\xff\xff", "E_BAD_MESSAGE DPUB invalid message body size -1");
    check(b"MPUB t\n\0\0\x03\xe9", "E_BAD_BODY MPUB body too big 1001 > 1000");
    check(b"MPUB t\n\0\0\0\0", "E_BAD_BODY MPUB invalid body size 0");
    check(b"IDENTIFY\n\0\0\x03\xe9", "E_BAD_BODY IDENTIFY body too big 1001 > 1000");
    check(b"IDENTIFY\n\0\0\0\0", "E_BAD_BODY IDENTIFY invalid body size 0");
    check(b"MPUB t\n\0\0\0\x01\0\0\0\0\x5e", "E_BAD_BODY MPUB invalid message count 0");
    check(b"MPUB t\n\0\0\0\x04\0\0\0\xff", "E_BAD_BODY MPUB invalid message count 255");
    check(b"MPUB t\n\0\0\0\x08\0\0\0\x01\0\0\0\0", "E_BAD_MESSAGE MPUB invalid message(0) body size 0");
    check(b"MPUB t\n\0\0\0\x08\0\0\0\x01\0\0\0\x65", "E_BAD_MESSAGE MPUB message too big 101 > 100");
    let second = b"MPUB t\n\0\0\0\x08\0\0\0\x02\0\0\0\x01x\0\0\0\0";
    check(second, "E_BAD_MESSAGE MPUB invalid message(1) body size 0");
    check(&[b'x'; Limits::MAX_LINE_BYTES], "E_INVALID line over 16384 bytes");
}

/// Published clients leave parts out of the total length: the count, or the messages' lengths.
#[test]
fn many_messages_are_read_by_their_count() {
    let bodies: Bodies = ["a", "b", "c"].into_iter().collect();
    let messages = b"\0\0\0\x03\0\0\0\x01a\0\0\0\x01b\0\0\0\x01c";
    for length in [1, 3, 15, 19, 23, 100, 5 * 1024 * 1024_u32] {
        let bytes = [b"MPUB t\n", &length.to_be_bytes()[..], messages, b"NOP\n"].concat();
        for cut in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut received = BytesMut::new();
            let mut commands = Vec::new();
            for piece in bytes.chunks(cut) {
                received.extend_from_slice(piece);
                while let Some(command) =
                    decoder.decode(&mut received, &Limits::default(), |_| Ok(())).unwrap()
                {
                    commands.push(command);
                }
            }
            let many = Command::MultiPublish { topic: name("t"), bodies: bodies.clone() };
            assert_eq!(commands, [many, Command::Nop], "{length}, cut after each {cut}");
        }
    }
    assert_eq!((bodies.len(), bodies.total_bytes()), (3, 3));
    assert_eq!(bodies.iter().collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

/// The messages together are not larger than a body may be, whatever its length says.
#[test]
fn many_messages_are_bounded_by_what_they_have() {
    let limits = Limits { max_message_bytes: 100, max_body_bytes: 250, ..Limits::default() };
    let many = |sizes: &[usize]| {
        let bodies: Bodies = sizes.iter().map(|size| vec![b'x'; *size]).collect();
        let mut bytes = BytesMut::from(&b"MPUB t\n\0\0\0\x01"[..]);
        bodies.encode(&mut bytes);
        decode_command(&mut bytes, &limits)
    };
    assert!(many(&[100, 100, 50]).unwrap().is_some());
    let error = many(&[100, 100, 51]).unwrap_err();
    assert_eq!(error.to_string(), "E_BAD_BODY MPUB body too big 251 > 250");
}

#[test]
fn of_a_stranger_no_large_body_is_read() {
    let limits = Limits { max_stranger_bytes: Some(100), ..Limits::default() };
    let check = |bytes: &[u8], text: &str| {
        let error = decode_command(&mut BytesMut::from(bytes), &limits).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    check(b"IDENTIFY\n\0\0\0\x65", "E_BAD_BODY IDENTIFY body too big 101 > 100");
    check(b"AUTH\n\0\0\0\x65", "E_BAD_BODY AUTH body too big 101 > 100");
    check(b"PUB t\n\0\0\0\x65", "E_AUTH_FIRST AUTH required before PUB");
    check(b"DPUB t 1\n\0\0\0\x65", "E_AUTH_FIRST AUTH required before DPUB");
    check(b"MPUB t\n", "E_AUTH_FIRST AUTH required before MPUB");
    check(b"PUB t\n\x7f\0\0\0", "E_BAD_MESSAGE PUB message too big 2130706432 > 1048576");
    let small = decode_command(&mut BytesMut::from(&b"PUB t\n\0\0\0\x01x"[..]), &limits);
    assert!(small.unwrap().is_some(), "what it may do is the server's to say");
}

#[test]
fn extensions_are_unknown_to_clients_that_did_not_ask() {
    let limits = Limits::default();
    let headed = decode_command(&mut BytesMut::from(&b"HPUB t\n\0\0\0\x02\0x"[..]), &limits).unwrap_err();
    assert_eq!(headed.to_string(), "E_INVALID invalid command HPUB");
    for word in ["PEEK", "REPLAY"] {
        let line = format!("{word} t c sequence 1\n");
        let error = decode_command(&mut BytesMut::from(line.as_bytes()), &limits).unwrap_err();
        assert_eq!(error.to_string(), format!("E_INVALID invalid command {word}"));
    }
    let subscribe = decode_command(&mut BytesMut::from(&b"SUB t c ordered\n"[..]), &limits);
    let unordered = Command::Subscribe { topic: name("t"), channel: name("c"), ordered: false };
    assert_eq!(subscribe, Ok(Some(unordered)), "nsqd overlooks what follows the channel");
}

#[test]
fn mistakes_in_headers_are_refused() {
    let limits = Limits { max_message_bytes: 2, max_body_bytes: 100, extensions: true, ..Limits::default() };
    let check = |bytes: &[u8], text: &str| {
        let error = decode_command(&mut BytesMut::from(bytes), &limits).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(error.is_fatal());
    };
    check(b"HPUB\n", "E_INVALID HPUB insufficient number of parameters");
    check(b"HPUB a/b\n", "E_BAD_TOPIC HPUB topic name \"a/b\" is not valid");
    check(b"HPUB t\n\0\0\0\0", "E_BAD_BODY HPUB invalid body size 0");
    check(b"HPUB t\n\0\0\0\x65", "E_BAD_BODY HPUB body too big 101 > 100");
    check(b"HPUB t\n\0\0\0\x02\x20x", "E_BAD_MESSAGE HPUB unknown headers 0x20");
    check(b"HPUB t\n\0\0\0\x02\x01x", "E_BAD_MESSAGE HPUB headers are cut off");
    check(b"HPUB t\n\0\0\0\x02\x02x", "E_BAD_MESSAGE HPUB headers are cut off");
    check(b"HPUB t\n\0\0\0\x06\x02\0\0\0\x02x", "E_BAD_MESSAGE HPUB headers are cut off");
    check(b"HPUB t\n\0\0\0\x06\x02\xff\xff\xff\xffx", "E_BAD_MESSAGE HPUB headers are cut off");
    check(b"HPUB t\n\0\0\0\x02\x04x", "E_BAD_MESSAGE HPUB headers are cut off");
    let too_late = b"HPUB t\n\0\0\0\x0a\x04\0\0\0\0\0\x36\xee\x81x";
    check(too_late, "E_INVALID HPUB timeout 3600001 out of range 0-3600000");
    check(b"HPUB t\n\0\0\0\x01\0", "E_BAD_MESSAGE HPUB invalid message body size 0");
    check(b"HPUB t\n\0\0\0\x04\0xyz", "E_BAD_MESSAGE HPUB message too big 3 > 2");
}

#[test]
fn mistakes_in_looking_and_replaying_are_refused() {
    let limits = Limits { extensions: true, ..Limits::default() };
    let check = |bytes: &[u8], text: &str| {
        let error = decode_command(&mut BytesMut::from(bytes), &limits).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    check(b"PEEK t c\n", "E_INVALID PEEK insufficient number of parameters");
    check(b"PEEK a/b c 1\n", "E_BAD_TOPIC PEEK topic name \"a/b\" is not valid");
    check(b"PEEK t c/d 1\n", "E_BAD_CHANNEL PEEK channel name \"c/d\" is not valid");
    check(b"PEEK t c x\n", "E_INVALID PEEK could not parse limit x");
    check(b"PEEK t c 1 -1\n", "E_INVALID PEEK could not parse sequence -1");
    check(b"PEEK t c 1 \n", "E_INVALID PEEK could not parse sequence ");
    check(b"REPLAY t c sequence\n", "E_INVALID REPLAY insufficient number of parameters");
    check(b"REPLAY t c sequence x\n", "E_INVALID REPLAY could not parse sequence x");
    check(b"REPLAY t c time \n", "E_INVALID REPLAY could not parse time ");
    check(b"REPLAY t c end 1\n", "E_INVALID REPLAY unknown place end");
}

#[test]
fn a_body_is_not_copied() {
    let mut received = BytesMut::from(&b"PUB t\n\0\0\0\x05hello"[..]);
    let start = received.as_ptr() as usize;
    let Ok(Some(Command::Publish { body, .. })) = decode_command(&mut received, &Limits::default()) else {
        panic!("a whole command");
    };
    assert_eq!(body.as_ptr() as usize, start + 10);
}

#[test]
fn the_gate_comes_before_every_other_check() {
    let check = |bytes: &[u8], word: &'static [u8]| {
        let error = super::decode_command(&mut BytesMut::from(bytes), &Limits::default(), |asked| {
            assert_eq!(asked, word);
            Err(ProtocolError::out_of_place("X"))
        });
        assert_eq!(error, Err(ProtocolError::out_of_place("X")));
    };
    check(b"SUB\n", b"SUB");
    check(b"IDENTIFY\n", b"IDENTIFY");
    check(b"HELLO world\r\n", b"HELLO");
    check(b"\n", b"");
}

#[test]
fn a_command_that_ends_too_early_is_answered_in_nsqds_words() {
    let check = |bytes: &[u8], text: Option<&str>| {
        assert_eq!(decode_command(&mut BytesMut::from(bytes), &Limits::default()), Ok(None));
        assert_eq!(cut_off(bytes, &Limits::default()).map(|error| error.to_string()).as_deref(), text);
    };
    check(b"PUB t", None);
    check(b"PUB t\n\0", Some("E_BAD_MESSAGE PUB failed to read message body size"));
    check(b"PUB t\n\0\0\0\x05ab", Some("E_BAD_MESSAGE PUB failed to read message body"));
    check(b"DPUB t 1\n\0\0\0\x05ab", Some("E_BAD_MESSAGE DPUB failed to read message body"));
    check(b"MPUB t\n\0\0", Some("E_BAD_BODY MPUB failed to read body size"));
    check(b"MPUB t\n\0\0\0\x09\0", Some("E_BAD_BODY MPUB failed to read message count"));
    let first = b"MPUB t\n\0\0\0\x0b\0\0\0\x01\0";
    check(first, Some("E_BAD_MESSAGE MPUB failed to read message(0) body size"));
    let body = b"MPUB t\n\0\0\0\x0b\0\0\0\x01\0\0\0\x03a";
    check(body, Some("E_BAD_MESSAGE MPUB failed to read message body"));
    check(b"IDENTIFY\n", Some("E_BAD_BODY IDENTIFY failed to read body size"));
    check(b"AUTH\n\0\0\0\x02a", Some("E_BAD_BODY AUTH failed to read body"));
}
