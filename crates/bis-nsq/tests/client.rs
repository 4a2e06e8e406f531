//! The clients against a scripted server, for behaviour that no real server can be made to show on demand.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bis_nsq::client::{
    ConnectError, Connection, ConsumeError, Consumer, HttpAddress, Lookup, Options, PublishError, Publisher,
    Tls, TlsError,
};
use bis_nsq::{
    CLOSE_WAIT, Command, ErrorCode, Extension, FEATURE_RELEASE, IdentifyReply, Limits, MessageId, Name, OK,
    Published, decode_command, encode_error, encode_message, encode_response,
};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that does what the test says.
struct Server(TcpListener);

impl Server {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.0.local_addr().unwrap().to_string());
        options.publish_wait = Duration::from_millis(500);
        options
    }

    /// Accepts the next connection and reads its `IDENTIFY`.
    async fn accept(&self, features: &[&str]) -> Peer {
        let (mut stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut magic = [0; 4];
        stream.read_exact(&mut magic).await.unwrap();
        assert_eq!(&magic, b"  V2");
        let mut peer = Peer { stream, input: BytesMut::new(), output: BytesMut::new() };
        assert!(matches!(peer.command().await, Command::Identify(_)));
        let bis = (!features.is_empty()).then(|| Extension::offer(features));
        let reply =
            IdentifyReply { max_rdy_count: 2500, msg_timeout: 60_000, bis, ..IdentifyReply::default() };
        encode_response(&mut peer.output, &reply.to_json());
        peer.flush().await;
        peer
    }
}

struct Peer {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
}

impl Peer {
    async fn command(&mut self) -> Command {
        self.next().await.expect("the client sends a command")
    }

    /// The next command; `None` when the client has closed.
    async fn next(&mut self) -> Option<Command> {
        let limits = Limits { extensions: true, ..Limits::default() };
        loop {
            if let Some(command) = decode_command(&mut self.input, &limits, |_| Ok(())).unwrap() {
                return Some(command);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.unwrap().unwrap();
            if read == 0 {
                return None;
            }
        }
    }

    async fn ok(&mut self) {
        encode_response(&mut self.output, OK);
        self.flush().await;
    }

    async fn deliver(&mut self, number: u64) {
        encode_message(&mut self.output, 0, 1, MessageId::from_number(number), b"x");
        self.flush().await;
    }

    async fn flush(&mut self) {
        self.stream.write_all_buf(&mut self.output).await.unwrap();
    }
}

fn publish(body: &'static [u8]) -> Command {
    Command::Publish { topic: Name::new("t").unwrap(), body: body.into() }
}

fn body_of(command: &Command) -> &[u8] {
    let Command::Publish { body, .. } = command else { panic!("{command:?} is no publish") };
    body
}

fn consume(server: &Server) -> Consumer {
    Consumer::start(server.options(), Name::new("t").unwrap(), Name::new("c").unwrap())
}

#[tokio::test]
async fn publishes_are_answered_in_their_order() {
    let server = Server::start().await;
    let publisher = Publisher::start(server.options());
    let mut peer = server.accept(&[]).await;
    let first = publisher.send(publish(b"1")).await.unwrap();
    let mut second = tokio::spawn(publisher.send(publish(b"2")).await.unwrap().answer());
    assert_eq!(body_of(&peer.command().await), b"1");
    assert_eq!(body_of(&peer.command().await), b"2");
    peer.ok().await;
    assert_eq!(first.answer().await, Ok(Published::default()));
    let early = timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "the second has no answer of its own yet");
    peer.ok().await;
    assert_eq!(second.await.unwrap(), Ok(Published::default()));
}

#[tokio::test]
async fn what_was_sent_and_not_answered_fails_with_the_connection() {
    let server = Server::start().await;
    let publisher = Publisher::start(server.options());
    let mut peer = server.accept(&[]).await;
    let first = publisher.send(publish(b"1")).await.unwrap();
    let second = publisher.send(publish(b"2")).await.unwrap();
    peer.command().await;
    peer.command().await;
    peer.ok().await;
    drop(peer);
    assert_eq!(first.answer().await, Ok(Published::default()));
    assert_eq!(second.answer().await, Err(PublishError::Unanswered));

    let mut peer = server.accept(&[]).await;
    let third = publisher.send(publish(b"3")).await.unwrap();
    assert_eq!(body_of(&peer.command().await), b"3", "nothing is sent twice");
    peer.ok().await;
    assert_eq!(third.answer().await, Ok(Published::default()));
}

#[tokio::test]
async fn a_refusal_fails_one_publish_and_those_behind_it_are_sent_again() {
    let server = Server::start().await;
    let publisher = Publisher::start(server.options());
    let mut peer = server.accept(&[]).await;
    let bad = publisher.send(publish(b"bad")).await.unwrap();
    let good = publisher.send(publish(b"good")).await.unwrap();
    peer.command().await;
    encode_error(&mut peer.output, "E_BAD_MESSAGE PUB message too big 105 > 100");
    peer.flush().await;
    drop(peer);
    let Err(PublishError::Refused(refusal)) = bad.answer().await else { panic!("it was refused") };
    assert_eq!(refusal.code, ErrorCode::BadMessage);

    let mut peer = server.accept(&[]).await;
    assert_eq!(body_of(&peer.command().await), b"good");
    peer.ok().await;
    assert_eq!(good.answer().await, Ok(Published::default()));
}

#[tokio::test]
async fn a_publish_waits_for_a_connection_for_a_bounded_time() {
    let server = Server::start().await;
    let options = server.options();
    drop(server);
    let publisher = Publisher::start(options);
    let error = timeout(PATIENCE, publisher.publish(publish(b"1"))).await.unwrap().unwrap_err();
    assert!(matches!(error, PublishError::Unreachable { .. }), "{error:?}");
    publisher.close().await;
    assert_eq!(publisher.publish(publish(b"2")).await, Err(PublishError::Closed));
}

#[tokio::test]
async fn while_a_publish_waits_the_server_is_tried_often() {
    let server = Server::start().await;
    let mut options = server.options();
    options.publish_wait = Duration::from_secs(3);
    let publisher = Publisher::start(options);
    // After six attempts, the next ones are seconds apart.
    for _ in 0..7 {
        drop(timeout(PATIENCE, server.0.accept()).await.unwrap().unwrap());
    }
    let receipt = publisher.send(publish(b"1")).await.unwrap();
    let mut attempts = 0;
    let failed = receipt.answer();
    tokio::pin!(failed);
    loop {
        tokio::select! {
            connection = server.0.accept() => drop(connection.unwrap()),
            answer = &mut failed => break assert!(matches!(answer, Err(PublishError::Unreachable { .. }))),
        }
        attempts += 1;
    }
    assert!(attempts >= 5, "{attempts} attempts in 3 s");
}

#[tokio::test]
async fn closing_waits_for_the_answers() {
    let server = Server::start().await;
    let publisher = Publisher::start(server.options());
    let mut peer = server.accept(&[]).await;
    let receipt = publisher.send(publish(b"1")).await.unwrap();
    let closing = tokio::spawn(async move { publisher.close().await });
    peer.command().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    peer.ok().await;
    assert_eq!(receipt.answer().await, Ok(Published::default()));
    assert_eq!(peer.next().await, None, "the client closes its side");
    drop(peer);
    closing.await.unwrap();
}

#[tokio::test]
async fn heartbeats_are_answered_and_silence_is_a_lost_connection() {
    let server = Server::start().await;
    let mut options = server.options();
    options.heartbeat = Duration::from_millis(200);
    let publisher = Publisher::start(options);
    let mut peer = server.accept(&[]).await;
    encode_response(&mut peer.output, b"_heartbeat_");
    peer.flush().await;
    assert_eq!(peer.command().await, Command::Nop);
    assert_eq!(peer.next().await, None, "after 400 ms of silence the client gives up");
    let mut again = server.accept(&[]).await;
    let receipt = publisher.send(publish(b"1")).await.unwrap();
    again.command().await;
    again.ok().await;
    assert_eq!(receipt.answer().await, Ok(Published::default()));
}

#[tokio::test]
async fn a_consumer_asks_for_what_it_handles_plus_what_it_has_room_for() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[]).await;
    assert!(matches!(peer.command().await, Command::Subscribe { .. }));
    peer.ok().await;
    let (received, ()) = tokio::join!(consumer.receive(3), async {
        assert_eq!(peer.command().await, Command::Ready(3));
        peer.deliver(1).await;
    });
    let mut held = received.unwrap();
    assert_eq!(held.len(), 1);
    // Two are free and one is held: still three, so there is nothing to send.
    let (received, ()) = tokio::join!(consumer.receive(2), peer.deliver(2));
    held.extend(received.unwrap());
    held.remove(0).finish().unwrap();
    assert_eq!(peer.command().await, Command::Finish(MessageId::from_number(1)));
    let (received, ()) = tokio::join!(consumer.receive(1), async {
        assert_eq!(peer.command().await, Command::Ready(2));
        peer.deliver(3).await;
    });
    assert_eq!(received.unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_of_a_lost_connection_cannot_be_settled() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[]).await;
    peer.command().await;
    peer.ok().await;
    let (received, ()) = tokio::join!(consumer.receive(5), peer.deliver(1));
    let old = received.unwrap().remove(0);
    drop(peer);
    let mut peer = server.accept(&[]).await;
    assert!(matches!(peer.command().await, Command::Subscribe { .. }));
    peer.ok().await;
    // Four handlers are free: the one that still runs is not asked for again.
    assert_eq!(peer.command().await, Command::Ready(4));
    assert!(old.finish().is_err());
    let (received, ()) = tokio::join!(consumer.receive(5), peer.deliver(1));
    received.unwrap().remove(0).finish().unwrap();
    assert_eq!(peer.command().await, Command::Ready(5));
    assert_eq!(peer.command().await, Command::Finish(MessageId::from_number(1)));
}

#[tokio::test]
async fn release_is_used_where_it_is_offered_only() {
    let id = MessageId::from_number(1);
    for (features, expected) in [
        (&[FEATURE_RELEASE][..], Command::Release { id, delay: None }),
        (&[], Command::Requeue { id, delay: Duration::ZERO }),
    ] {
        let server = Server::start().await;
        let mut consumer = consume(&server);
        let mut peer = server.accept(features).await;
        peer.command().await;
        peer.ok().await;
        let (received, ()) = tokio::join!(consumer.receive(1), peer.deliver(1));
        received.unwrap().remove(0).release().unwrap();
        assert_eq!(peer.command().await, Command::Ready(1));
        assert_eq!(peer.command().await, expected);
    }
}

#[tokio::test]
async fn what_crosses_the_goodbye_of_a_consumer_goes_back_uncounted() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[FEATURE_RELEASE]).await;
    peer.command().await;
    peer.ok().await;
    let (received, ()) = tokio::join!(consumer.receive(2), peer.deliver(1));
    assert_eq!(peer.command().await, Command::Ready(2));
    drop(consumer);
    assert_eq!(peer.command().await, Command::Close);
    peer.deliver(2).await;
    encode_response(&mut peer.output, CLOSE_WAIT);
    peer.flush().await;
    assert_eq!(peer.command().await, Command::Release { id: MessageId::from_number(2), delay: None });
    let held = Command::Requeue { id: MessageId::from_number(1), delay: Duration::ZERO };
    assert_eq!(peer.command().await, held, "what was received was an attempt");
    assert_eq!(peer.next().await, None);
    drop(received);
}

#[tokio::test]
async fn what_came_and_was_never_received_goes_back_uncounted_when_closed_from_elsewhere() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[FEATURE_RELEASE]).await;
    peer.command().await;
    peer.ok().await;
    let (received, ()) = tokio::join!(consumer.receive(2), peer.deliver(1));
    assert_eq!(peer.command().await, Command::Ready(2));
    peer.deliver(2).await;
    while consumer.arrived() == 0 {
        tokio::task::yield_now().await;
    }
    let handle = consumer.handle();
    let ((), back) = tokio::join!(handle.close(), async {
        assert_eq!(peer.command().await, Command::Close);
        encode_response(&mut peer.output, CLOSE_WAIT);
        peer.flush().await;
        let mut back = [peer.command().await, peer.command().await];
        back.sort_by_key(|command| matches!(command, Command::Release { .. }));
        assert_eq!(peer.next().await, None);
        drop(peer);
        back
    });
    let held = Command::Requeue { id: MessageId::from_number(1), delay: Duration::ZERO };
    assert_eq!(back, [held, Command::Release { id: MessageId::from_number(2), delay: None }]);
    drop(received);
}

#[tokio::test]
async fn a_connection_that_came_since_the_caller_looked_wakes_him() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    assert!(!consumer.is_connected());
    let mut peer = server.accept(&[]).await;
    peer.command().await;
    peer.ok().await;
    while !consumer.is_connected() {
        tokio::task::yield_now().await;
    }
    // A caller that saw no connection asks it for nothing, and must be told that it can ask now.
    let woken = timeout(PATIENCE, consumer.receive_or_change(0)).await.expect("woken");
    assert!(woken.unwrap().is_empty());
}

#[tokio::test]
async fn a_consumer_that_is_not_to_reconnect_ends_with_its_connection() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[]).await;
    peer.command().await;
    peer.ok().await;
    consumer.subscribed().await.unwrap();
    consumer.set_reconnects(false);
    drop(peer);
    assert_eq!(timeout(PATIENCE, consumer.receive(1)).await.unwrap().unwrap_err(), ConsumeError::Closed);
    assert!(consumer.is_closed());
    let again = timeout(Duration::from_millis(300), server.0.accept()).await;
    assert!(again.is_err(), "it connected again");
}

#[tokio::test]
async fn a_refused_subscription_is_final() {
    let server = Server::start().await;
    let mut consumer = consume(&server);
    let mut peer = server.accept(&[]).await;
    peer.command().await;
    encode_error(&mut peer.output, "E_BAD_TOPIC SUB topic name \"t\" is not valid");
    peer.flush().await;
    assert!(consumer.subscribed().await.is_err());
    assert!(consumer.receive(1).await.is_err());
}

/// The reply of a server that asks for `AUTH`.
async fn accept_asking_for_auth(server: &Server) -> Peer {
    let (mut stream, _) = timeout(PATIENCE, server.0.accept()).await.unwrap().unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    let mut peer = Peer { stream, input: BytesMut::new(), output: BytesMut::new() };
    peer.command().await;
    let reply = IdentifyReply { max_rdy_count: 2500, auth_required: true, ..IdentifyReply::default() };
    encode_response(&mut peer.output, &reply.to_json());
    peer.flush().await;
    peer
}

#[tokio::test]
async fn the_secret_is_told_to_who_asks_for_it_and_to_nobody_else() {
    let server = Server::start().await;
    let mut options = server.options();
    options.auth_secret = Some("s3cret".to_owned().into());
    assert!(!format!("{options:?}").contains("s3cret"), "no log shows it");
    let publisher = Publisher::start(options);
    let mut peer = accept_asking_for_auth(&server).await;
    assert_eq!(peer.command().await, Command::Auth("s3cret".into()));
    encode_error(&mut peer.output, "E_AUTH_FAILED AUTH failed");
    peer.flush().await;
    drop(peer);

    // A refusal is not permanent: the authorization server may have been unreachable.
    let mut peer = accept_asking_for_auth(&server).await;
    assert!(matches!(peer.command().await, Command::Auth(_)));
    encode_response(&mut peer.output, br#"{"identity":"app","permission_count":1}"#);
    peer.flush().await;
    let receipt = publisher.send(publish(b"1")).await.unwrap();
    assert_eq!(body_of(&peer.command().await), b"1");
    peer.ok().await;
    assert_eq!(receipt.answer().await, Ok(Published::default()));
    drop(peer);

    let mut peer = server.accept(&[]).await;
    let receipt = publisher.send(publish(b"2")).await.unwrap();
    assert_eq!(body_of(&peer.command().await), b"2", "nobody asked");
    peer.ok().await;
    assert_eq!(receipt.answer().await, Ok(Published::default()));
}

#[tokio::test]
async fn without_a_secret_the_error_says_which_setting_is_missing() {
    let server = Server::start().await;
    let options = server.options();
    let opening = tokio::spawn(async move { Connection::open(&options).await });
    let _peer = accept_asking_for_auth(&server).await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("`auth`"), "{error}");
}

#[tokio::test]
async fn who_asks_for_tls_gets_it_or_no_connection() {
    let server = Server::start().await;
    let mut options = server.options();
    options.tls = Some(Tls::new("/nowhere/ca.pem"));
    let opening = tokio::spawn(async move { Connection::open(&options).await });
    // The reply grants no TLS.
    let mut peer = server.accept(&[]).await;
    let error = opening.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Tls(TlsError::NotOffered)), "{error}");
    assert_eq!(peer.next().await, None, "nothing was said in the clear");
}

/// An nsqlookupd that answers each request with the next body, and then with the last one.
async fn lookup_server(bodies: &'static [&'static str]) -> HttpAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = HttpAddress::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        for round in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /nodes HTTP/1.0\r\n"));
            let body = bodies[round.min(bodies.len() - 1)];
            let answer = if body.is_empty() {
                "HTTP/1.0 500 Internal Server Error\r\n\r\n".to_owned()
            } else {
                format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn lookup_servers_are_asked_again_and_one_that_fails_has_not_forgotten() {
    const ONE: &str = r#"{"producers":[{"broadcast_address":"a","tcp_port":1,"topics":["t"]}]}"#;
    const TWO: &str = r#"{"producers":[{"broadcast_address":"b","tcp_port":1,"topics":["t"]}]}"#;
    let steady = lookup_server(&[r#"{"producers":[]}"#]).await;
    let moody = lookup_server(&["", ONE, "", TWO]).await;
    let lookup = Lookup::start(vec![steady, moody], Duration::from_millis(20));
    let mut found = lookup.found();
    for expected in [&[][..], &["a:1"], &["b:1"]] {
        timeout(PATIENCE, found.changed()).await.unwrap().unwrap();
        let known: Vec<_> = found.borrow_and_update().as_ref().unwrap().keys().cloned().collect();
        assert_eq!(known, expected);
    }
}
