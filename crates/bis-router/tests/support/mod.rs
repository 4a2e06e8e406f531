//! A plain NSQ client on blocking sockets, and a router on free ports. It knows nothing of the router's inside.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

pub mod authority;
pub mod http;
pub mod layers;
pub mod lookupd;
pub mod peer;
pub mod process;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bis_nsq::{
    Command, Extension, FEATURE_HEADERS, FEATURE_ORDERED, FEATURE_RELEASE, Frame, Headers, Identify,
    IdentifyReply, Message, Name, decode_frame,
};
use bis_router::{Handle, Options, Router};
use bytes::{Bytes, BytesMut};

/// Options for free ports.
pub fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder);
    options.tcp_address.set_port(0);
    options.http_address.set_port(0);
    options
}

pub async fn start(folder: &Path) -> Handle {
    Router::start(options(folder)).await.unwrap()
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

/// What [`Client::poll`] found.
#[derive(Debug)]
pub enum Poll {
    Frame(Frame),
    Closed,
    Nothing,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"  V2").unwrap();
        Self { stream, buffer: BytesMut::new() }
    }

    pub fn subscribe(address: SocketAddr, topic: &str, channel: &str, ready: u32) -> Self {
        let mut client = Self::connect(address);
        client.send(&Command::Subscribe { topic: name(topic), channel: name(channel), ordered: false });
        assert_eq!(client.response(), "OK");
        client.send(&Command::Ready(ready));
        client
    }

    /// A connection on which Bis's own commands may be used.
    pub fn connect_extended(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        let ask = Identify { feature_negotiation: true, bis: Some(Extension::ask()), ..Identify::default() };
        client.send(&Command::Identify(ask.to_json().into()));
        let reply = client.response();
        let reply: IdentifyReply = serde_json::from_str(&reply).unwrap();
        assert!(
            [FEATURE_RELEASE, FEATURE_HEADERS, FEATURE_ORDERED].iter().all(|feature| reply.offers(feature))
        );
        client
    }

    /// Like [`Client::subscribe`], with order by key.
    pub fn subscribe_ordered(address: SocketAddr, topic: &str, channel: &str, ready: u32) -> Self {
        let mut client = Self::connect_extended(address);
        client.send(&Command::Subscribe { topic: name(topic), channel: name(channel), ordered: true });
        assert_eq!(client.response(), "OK");
        client.send(&Command::Ready(ready));
        client
    }

    /// Publishes with an ordering key.
    pub fn publish_keyed(&mut self, topic: &str, key: &str, body: impl Into<Bytes>) {
        let headers = Headers { key: Some(key.to_owned().into()), ..Headers::default() };
        self.send(&Command::HeadedPublish { topic: name(topic), headers, body: body.into() });
        assert_eq!(self.response(), "OK");
    }

    pub fn send(&mut self, command: &Command) {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn publish(&mut self, topic: &str, body: impl Into<Bytes>) {
        self.send(&Command::Publish { topic: name(topic), body: body.into() });
        assert_eq!(self.response(), "OK");
    }

    /// A command with a body: the line, the body's length, the body.
    pub fn send_sized(&mut self, line: &str, body: &[u8]) {
        self.send_raw(&sized(line, body));
    }

    /// Negotiates; the server's answer, or its error.
    pub fn identify(&mut self, ask: &serde_json::Value) -> Result<String, String> {
        self.send_sized("IDENTIFY", ask.to_string().as_bytes());
        match self.try_frame() {
            Some(Frame::Response(data)) => Ok(String::from_utf8(data.to_vec()).unwrap()),
            Some(Frame::Error(data)) => Err(String::from_utf8(data.to_vec()).unwrap()),
            other => panic!("neither answer nor error: {other:?}"),
        }
    }

    /// The next frame, heartbeats answered and left out; `None` when the connection is closed.
    pub fn try_frame(&mut self) -> Option<Frame> {
        loop {
            match self.next_frame()? {
                Frame::Response(data) if &data[..] == b"_heartbeat_" => self.send(&Command::Nop),
                frame => return Some(frame),
            }
        }
    }

    /// The next frame, whatever it is; `None` when the connection is closed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = decode_frame(&mut self.buffer, 64 * 1024 * 1024).unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame came: {error}"),
            }
        }
    }

    /// What has come or comes within a moment, heartbeats answered and left out.
    pub fn poll(&mut self, moment: Duration) -> Poll {
        loop {
            match decode_frame(&mut self.buffer, 64 * 1024 * 1024).unwrap() {
                Some(Frame::Response(data)) if &data[..] == b"_heartbeat_" => {
                    self.send(&Command::Nop);
                    continue;
                }
                Some(frame) => return Poll::Frame(frame),
                None => {}
            }
            let mut chunk = [0; 64 * 1024];
            let read = if moment.is_zero() {
                self.stream.set_nonblocking(true).unwrap();
                let read = self.stream.read(&mut chunk);
                self.stream.set_nonblocking(false).unwrap();
                read
            } else {
                self.stream.set_read_timeout(Some(moment)).unwrap();
                let read = self.stream.read(&mut chunk);
                self.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                read
            };
            match read {
                Ok(0) => return Poll::Closed,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Poll::Nothing,
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Poll::Closed,
                    _ => panic!("the connection broke: {error}"),
                },
            }
        }
    }

    /// Sends to a server that may have closed the connection already.
    pub fn send_if_open(&mut self, bytes: &[u8]) {
        // What it said before it closed is read nevertheless.
        let _ = self.stream.write_all(bytes);
    }

    /// No more commands; answers may still come.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Expects this error, and the end of the connection after it.
    #[track_caller]
    pub fn ends_with(&mut self, text: &str) {
        assert_eq!(self.error(), text);
        assert!(self.is_closed(), "`{text}` is fatal");
    }

    #[track_caller]
    pub fn response(&mut self) -> String {
        match self.try_frame() {
            Some(Frame::Response(data)) => String::from_utf8(data.to_vec()).unwrap(),
            other => panic!("not a response: {other:?}"),
        }
    }

    #[track_caller]
    pub fn error(&mut self) -> String {
        match self.try_frame() {
            Some(Frame::Error(data)) => String::from_utf8(data.to_vec()).unwrap(),
            other => panic!("not an error: {other:?}"),
        }
    }

    #[track_caller]
    pub fn message(&mut self) -> Message {
        match self.try_frame() {
            Some(Frame::Message(message)) => message,
            other => panic!("not a message: {other:?}"),
        }
    }

    /// Takes a message and finishes it.
    #[track_caller]
    pub fn message_finished(&mut self) -> Message {
        let message = self.message();
        self.finish(&message);
        message
    }

    pub fn finish(&mut self, message: &Message) {
        self.send(&Command::Finish(message.id));
    }

    /// Whether nothing is there and nothing comes for this long.
    pub fn is_quiet_so_far(&mut self, time: Duration) -> bool {
        self.buffer.is_empty() && self.is_quiet(time)
    }

    /// Whether nothing comes for this long.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        assert!(self.buffer.is_empty());
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0; 1];
        let quiet = matches!(self.stream.peek(&mut byte), Err(error) if matches!(error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        self.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        quiet
    }

    /// All bytes until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = self.buffer.split().to_vec();
        // A reset says only that the server did not read everything.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// The next bytes, at least this many.
    pub fn some_bytes(&mut self, least: usize) -> Vec<u8> {
        let mut bytes = self.buffer.split().to_vec();
        while bytes.len() < least {
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "the connection is closed");
            bytes.extend_from_slice(&chunk[..count]);
        }
        bytes
    }

    /// Waits until something has come, and leaves it where it is.
    pub fn wait_for_bytes(&mut self) {
        assert_ne!(self.stream.peek(&mut [0]).unwrap(), 0);
    }

    pub fn is_closed(&mut self) -> bool {
        self.try_frame().is_none()
    }
}

/// A command's line, the length of its body, and the body.
pub fn sized(line: &str, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [line.as_bytes(), b"\n", &length, body].concat()
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One HTTP request; the status and the body.
pub fn http(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text[9..12].parse().unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}
