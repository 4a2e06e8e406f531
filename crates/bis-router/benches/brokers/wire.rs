//! What the load client sends to each kind of server: the bytes of a publish, and which bytes answer one.
//!
//! The same sockets and loops are used for all of them, so that only the server differs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use bis_nsq::{Command, Frame, HEARTBEAT, Name, decode_frame};
use bytes::{Buf, BytesMut};

/// A server's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `PUB`, answered by `OK`.
    Nsq,
    /// `XADD`, answered by the entry's id.
    Redis,
    /// A JetStream publish, answered by a message to the inbox.
    Nats,
}

const STREAM: &str =
    r#"{"name":"BENCH","subjects":["bench.*"],"storage":"file","retention":"limits","max_msgs":-1}"#;

impl Wire {
    /// A connection that is ready to publish.
    pub fn connect(self, address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        match self {
            Self::Nsq => stream.write_all(b"  V2").unwrap(),
            Self::Redis => {}
            Self::Nats => {
                let inbox = stream.local_addr().unwrap().port();
                let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB _INBOX.{inbox}.* 1\r\n");
                stream.write_all(hello.as_bytes()).unwrap();
                read_line(&stream, "INFO");
            }
        }
        stream
    }

    /// Makes what must be there before the first publish.
    pub fn prepare(self, address: SocketAddr) {
        if self == Self::Nats {
            let mut stream = self.connect(address);
            let inbox = stream.local_addr().unwrap().port();
            let head = format!("PUB $JS.API.STREAM.CREATE.BENCH _INBOX.{inbox}.0 {}\r\n", STREAM.len());
            stream.write_all(format!("{head}{STREAM}\r\n").as_bytes()).unwrap();
            let reply = read_line(&stream, "{");
            assert!(!reply.contains("\"error\""), "{reply}");
        }
    }

    /// The bytes of one publish on this connection.
    pub fn publish(self, stream: &TcpStream, topic: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let mut bytes = match self {
            Self::Nsq => {
                let mut bytes = BytesMut::new();
                let topic = Name::new(topic).unwrap();
                Command::Publish { topic, body: body.to_vec().into() }.encode(&mut bytes);
                return bytes.to_vec();
            }
            Self::Redis => format!(
                "*5\r\n$4\r\nXADD\r\n${}\r\n{topic}\r\n$1\r\n*\r\n$1\r\nd\r\n${length}\r\n",
                topic.len()
            ),
            Self::Nats => {
                let inbox = stream.local_addr().unwrap().port();
                format!("PUB bench.{topic} _INBOX.{inbox}.1 {length}\r\n")
            }
        }
        .into_bytes();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Takes the answers at the start of `received` and says how many publishes they answer; what must be said to a
    /// server that asks whether the client lives goes to `say`.
    pub fn answers(self, received: &mut BytesMut, say: &mut Vec<u8>) -> usize {
        let mut answered = 0;
        match self {
            Self::Nsq => {
                while let Some(frame) = decode_frame(received, 1 << 20).unwrap() {
                    match frame {
                        Frame::Response(data) if &data[..] == HEARTBEAT => say.extend_from_slice(b"NOP\n"),
                        Frame::Response(_) => answered += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
            // Two lines: a header, and the entry's id or the acknowledgement.
            Self::Redis | Self::Nats => {
                while let Some((header, length)) = line(received, 0) {
                    if header.starts_with(b"PING") {
                        say.extend_from_slice(b"PONG\r\n");
                        received.advance(length);
                        continue;
                    }
                    assert!(matches!(header[0], b'$' | b'M'), "{}", String::from_utf8_lossy(header));
                    let Some((answer, end)) = line(received, length) else { break };
                    assert!(!answer.starts_with(b"{\"error"), "{}", String::from_utf8_lossy(answer));
                    received.advance(end);
                    answered += 1;
                }
            }
        }
        answered
    }
}

/// The line at `from`, and where the next one begins.
fn line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = &bytes[from..];
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    Some((&rest[..end], from + end + 1))
}

/// Reads up to the first line that begins like this. Only for what comes before the load.
fn read_line(stream: &TcpStream, start: &str) -> String {
    let mut reader = BufReader::with_capacity(1, stream);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the server closed the connection");
        if line.starts_with(start) {
            return line;
        }
    }
}
