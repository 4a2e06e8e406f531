//! One connection to nsqlookupd, in its protocol V1: identify, register what is there, follow changes, ping.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use bis_journal::Name;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::{Server, VERSION};

/// How often nsqlookupd is told that the router is there, as nsqd does it.
const PING: Duration = Duration::from_secs(15);
/// How long to wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// A topic, or one of its channels. A topic comes before its channels.
type Entry = (Name, Option<Name>);

/// A session in which the router has identified itself.
pub(super) struct Session {
    stream: TcpStream,
    peer: Peer,
    registered: BTreeSet<Entry>,
    topology: watch::Receiver<u64>,
}

/// What nsqlookupd says about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Peer {
    broadcast_address: String,
    http_port: u16,
}

/// Connects and identifies the router.
pub(super) async fn begin(server: &Server, address: &str) -> io::Result<Session> {
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let topology = server.journal.lock().topology();
    let mut session = Session { stream, peer: Peer::default(), registered: BTreeSet::new(), topology };
    let identity = json!({
        "version": VERSION,
        "tcp_port": server.broadcast_tcp_port(),
        "http_port": server.broadcast_http_port(),
        "hostname": server.hostname,
        "broadcast_address": server.broadcast_address(),
    });
    let identity = identity.to_string();
    let length = u32::try_from(identity.len()).map_err(io::Error::other)?;
    let mut hello = b"  V1IDENTIFY\n".to_vec();
    hello.extend_from_slice(&length.to_be_bytes());
    hello.extend_from_slice(identity.as_bytes());
    let answer = session.ask(&hello).await?;
    session.peer = serde_json::from_slice(&answer)?;
    session.register(server).await?;
    Ok(session)
}

impl Session {
    /// Where nsqlookupd's HTTP API answers, if it said so.
    pub(super) fn http(&self) -> Option<String> {
        let Peer { broadcast_address: host, http_port } = &self.peer;
        // An IPv6 address needs brackets before a port.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        (!host.is_empty()).then(|| format!("{host}:{http_port}"))
    }

    /// Reports every change until the connection breaks; returns the reason.
    pub(super) async fn follow(mut self, server: &Server) -> io::Error {
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            let said = tokio::select! {
                changed = self.topology.changed() => match changed {
                    Ok(()) => self.register(server).await,
                    Err(error) => Err(io::Error::other(error)),
                },
                _ = ping.tick() => self.ask(b"PING\n").await.map(drop),
                // Only the end of the connection comes unasked.
                ready = self.stream.readable() => match ready {
                    Ok(()) => self.look_for_the_end(),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = said {
                return error;
            }
        }
    }

    /// Registers what is new and takes back what is gone.
    async fn register(&mut self, server: &Server) -> io::Result<()> {
        self.topology.mark_unchanged();
        let wanted = entries(server);
        let mut changes: Vec<(&str, Entry)> =
            self.registered.difference(&wanted).map(|entry| ("UNREGISTER", entry.clone())).collect();
        // A topic goes after its channels.
        changes.reverse();
        changes.extend(wanted.difference(&self.registered).map(|entry| ("REGISTER", entry.clone())));
        for (command, (topic, channel)) in changes {
            let channel = channel.as_ref().map(|channel| format!(" {}", channel.as_str()));
            let line = format!("{command} {}{}\n", topic.as_str(), channel.unwrap_or_default());
            self.ask(line.as_bytes()).await?;
        }
        self.registered = wanted;
        Ok(())
    }

    /// Sends a command and takes its answer; an error of nsqlookupd's ends the session.
    async fn ask(&mut self, command: &[u8]) -> io::Result<BytesMut> {
        timeout(PATIENCE, async {
            self.stream.write_all(command).await?;
            let length = self.stream.read_u32().await? as usize;
            if length > MAX_ANSWER {
                return Err(io::Error::other(format!("its answer has {length} bytes")));
            }
            let mut answer = BytesMut::zeroed(length);
            self.stream.read_exact(&mut answer).await?;
            if answer.starts_with(b"E_") {
                return Err(io::Error::other(format!("it answers {}", String::from_utf8_lossy(&answer))));
            }
            Ok(answer)
        })
        .await?
    }

    fn look_for_the_end(&mut self) -> io::Result<()> {
        match self.stream.try_read(&mut [0; 1]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Err(io::Error::other("it said something that was not asked")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn entries(server: &Server) -> BTreeSet<Entry> {
    let state = server.journal.lock();
    let mut entries = BTreeSet::new();
    for topic in state.topics_by_name() {
        entries.insert((topic.name().clone(), None));
        entries.extend(topic.channels().map(|(channel, _)| (topic.name().clone(), Some(channel.clone()))));
    }
    entries
}
