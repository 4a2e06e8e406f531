//! One server and what its clients have seen: it carries out steps, keeps what each connection holds, and reports facts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bis_nsq::{Frame, Message, MessageId, ProtocolError};
use serde_json::Value;

use crate::compare::Facts;
use crate::step::{CHANNELS, CONNECTIONS, Command, TOPICS};
use crate::support::peer::{Peer, Server};
use crate::support::{Client, Poll, sized};

/// Gets the messages that only show that everything before them was handled.
const BARRIER: &str = "barrier";
/// An identifier that no message has, for the same end.
const BARRIER_ID: &str = "barrierbarrierba";
/// An identifier that no message has.
const UNKNOWN_ID: &str = "ffffffffffffffff";
/// After this long without an answer there is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which message a command is about, by its body.
#[derive(Debug, Clone)]
pub enum Target {
    Body(String),
    Unknown,
}

pub struct Side {
    server: Server,
    prefix: String,
    pub connections: [Option<Connection>; CONNECTIONS],
    /// What the step was answered, message frames left out.
    pub said: Vec<String>,
    /// Every message of this game, so that one can be named that is no longer held.
    ids: BTreeMap<String, MessageId>,
}

pub struct Connection {
    client: Client,
    /// Its channel's topic and name, as places in [`TOPICS`] and [`CHANNELS`].
    pub channel: Option<(usize, usize)>,
    pub is_closing: bool,
    pub ready: u32,
    /// Body to attempts.
    pub held: BTreeMap<String, u16>,
    pub settled: Option<String>,
    received: u64,
    pub is_open: bool,
}

impl Side {
    pub fn start(peer: Peer) -> Self {
        let server = peer.start();
        let connections = [const { None }; CONNECTIONS];
        Self { server, prefix: String::new(), connections, said: Vec::new(), ids: BTreeMap::new() }
    }

    /// A new game, with topics of its own.
    pub fn begin(&mut self, prefix: &str) {
        self.connections = [const { None }; CONNECTIONS];
        self.ids.clear();
        self.delete_topics(|_| true);
        self.prefix = prefix.to_owned();
    }

    /// Opens the connection unless it is open.
    pub fn open(&mut self, place: usize) {
        if self.connections[place].as_ref().is_none_or(|connection| !connection.is_open) {
            self.connections[place] = Some(Connection {
                client: self.server.connect(),
                channel: None,
                is_closing: false,
                ready: 0,
                held: BTreeMap::new(),
                settled: None,
                received: 0,
                is_open: true,
            });
        }
    }

    pub fn disconnect(&mut self, place: usize) {
        self.connections[place] = None;
    }

    /// Sends the command and waits until it was handled.
    pub fn command(&mut self, place: usize, command: &Command, target: &Target) {
        let topic = |topic: &usize| format!("{}{}", self.prefix, TOPICS[*topic]);
        let id = match target {
            Target::Body(body) => self.ids[body].to_string(),
            Target::Unknown => UNKNOWN_ID.to_owned(),
        };
        let (bytes, answers) = match command {
            Command::Identify(ask) => (sized("IDENTIFY", ask.as_bytes()), 1),
            Command::Subscribe { topic: name, channel } => {
                (format!("SUB {} {}\n", topic(name), CHANNELS[*channel]).into_bytes(), 1)
            }
            Command::Ready(count) => (format!("RDY {count}\n").into_bytes(), 0),
            Command::Publish { topic: name, body } => {
                (sized(&format!("PUB {}", topic(name)), body.as_bytes()), 1)
            }
            Command::MultiPublish { topic: name, bodies } => {
                let mut many = u32::try_from(bodies.len()).unwrap().to_be_bytes().to_vec();
                for body in bodies {
                    many.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
                    many.extend(body.as_bytes());
                }
                (sized(&format!("MPUB {}", topic(name)), &many), 1)
            }
            Command::Deferred { topic: name, millis, body } => {
                (sized(&format!("DPUB {} {millis}", topic(name)), body.as_bytes()), 1)
            }
            Command::Finish(_) => (format!("FIN {id}\n").into_bytes(), 0),
            Command::Requeue(_, millis) => (format!("REQ {id} {millis}\n").into_bytes(), 0),
            Command::Touch(_) => (format!("TOUCH {id}\n").into_bytes(), 0),
            Command::Close => (b"CLS\n".to_vec(), 1),
            Command::Nop => (b"NOP\n".to_vec(), 0),
            Command::Line { bytes, answers } => (bytes.clone(), *answers),
        };
        // Before it is sent, because the message may come again at once.
        let given_back = match (command, target, &mut self.connections[place]) {
            (Command::Finish(_) | Command::Requeue(..), Target::Body(body), Some(connection)) => {
                connection.held.remove_entry(body)
            }
            _ => None,
        };
        let said = self.converse(place, &bytes, answers);
        let is_refused = said.iter().any(|said| said.starts_with("error "));
        self.said.extend(said.into_iter().map(|said| said.replace(&id, "<id>")));
        let Some(connection) = &mut self.connections[place] else { return };
        match (command, target) {
            _ if is_refused => connection.held.extend(given_back),
            (Command::Subscribe { topic, channel }, _) => connection.channel = Some((*topic, *channel)),
            (Command::Ready(count), _) if !connection.is_closing => connection.ready = *count,
            (Command::Close, _) => (connection.is_closing, connection.ready) = (true, 0),
            (Command::Finish(_) | Command::Requeue(..), Target::Body(body)) => {
                connection.settled = Some(body.clone());
            }
            _ => {}
        }
    }

    /// Sends the bytes and nothing more, and reads to the end.
    pub fn garbage(&mut self, place: usize, bytes: &[u8]) {
        let Some(connection) = &mut self.connections[place] else { return };
        connection.client.send_if_open(bytes);
        connection.client.finish_sending();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match connection.client.poll(PATIENCE) {
                Poll::Frame(Frame::Message(_)) => {}
                Poll::Frame(frame) => self.said.push(shown(&frame)),
                Poll::Closed => break,
                Poll::Nothing => {}
            }
            if Instant::now() > deadline {
                self.said.push("stays open".to_owned());
                break;
            }
        }
        connection.is_open = false;
    }

    pub fn http(&mut self, method: &str, path: &str, topic: usize, body: &[u8]) {
        let topic = format!("{}{}", self.prefix, TOPICS[topic]).replace('#', "%23");
        let path = path.replace("{topic}", &topic);
        let answer = crate::support::http::request(self.server.http, method, &path, body);
        self.said.push(format!("http {} {}", answer.status, answer.body));
    }

    /// Empties a channel on the server, and forgets what connections hold of it.
    pub fn empty(&mut self, topic: usize, channel: usize) {
        let (name, channel_name) = (TOPICS[topic].replace('#', "%23"), CHANNELS[channel].replace('#', "%23"));
        let path = format!("/channel/empty?topic={}{name}&channel={channel_name}", self.prefix);
        // It may be gone.
        self.server.post(&path, "");
        self.forget((topic, channel));
    }

    /// Forgets what connections hold of a channel.
    pub fn forget(&mut self, channel: (usize, usize)) {
        for connection in self.connections.iter_mut().flatten() {
            if connection.channel == Some(channel) {
                connection.held.clear();
            }
        }
    }

    /// Makes a topic that the other server made.
    pub fn make_topic(&mut self, name: &str) {
        self.server.post(&format!("/topic/create?topic={}{}", self.prefix, name.replace('#', "%23")), "");
    }

    /// Deletes topics that no step can name.
    pub fn delete_strange_topics(&mut self) {
        let prefix = self.prefix.clone();
        self.delete_topics(|name| !name.starts_with(&prefix));
    }

    fn delete_topics(&mut self, which: impl Fn(&str) -> bool) {
        let stats = self.server.get("/stats?format=json&include_mem=false").json();
        for topic in list(&stats["topics"]) {
            let name = topic["topic_name"].as_str().unwrap();
            if name != BARRIER && which(name) {
                self.server.post(&format!("/topic/delete?topic={}", name.replace('#', "%23")), "");
            }
        }
    }

    /// Reads what has come on all connections. What the servers say is taken to heart by [`Side::facts`].
    pub fn read(&mut self) {
        for connection in self.connections.iter_mut().flatten() {
            while connection.is_open {
                match connection.client.poll(Duration::ZERO) {
                    Poll::Frame(Frame::Message(message)) => connection.take(&message, &mut self.ids),
                    Poll::Frame(frame) => self.said.push(format!("unasked: {}", shown(&frame))),
                    Poll::Closed => connection.is_open = false,
                    Poll::Nothing => break,
                }
            }
        }
    }

    /// Makes the server send what it has buffered for consumers.
    pub fn flush(&mut self) {
        for place in 0..CONNECTIONS {
            if self.connections[place].as_ref().is_some_and(|it| it.is_open && it.channel.is_some()) {
                let said = self.converse(place, b"", 0);
                self.said.extend(said);
            }
        }
    }

    /// What can be known of the server, and whether it has come to rest.
    pub fn facts(&mut self) -> (Facts, bool) {
        let stats = self.server.get("/stats?format=json&include_mem=false").json();
        let mut facts = Facts::default();
        let mut rests = true;
        let mut seen = BTreeSet::new();
        for topic in list(&stats["topics"]) {
            let Some(name) = topic["topic_name"].as_str().unwrap().strip_prefix(&self.prefix) else {
                continue;
            };
            facts.add(
                &format!("topic {name}"),
                topic,
                &["depth", "message_count", "message_bytes", "paused"],
            );
            let channels = list(&topic["channels"]);
            rests &= topic["depth"] == 0 || topic["paused"] == true || channels.is_empty();
            for channel in channels {
                rests &= self.channel_facts(name, channel, &mut facts, &mut seen);
            }
        }
        let mut held: BTreeMap<String, Vec<(&str, u16)>> = BTreeMap::new();
        for (place, connection) in self.connections.iter().enumerate() {
            let Some(connection) = connection else { continue };
            let what = format!("connection {place}");
            facts.put(&what, "is open", connection.is_open);
            if connection.is_open {
                facts.put(&what, "holds", connection.held.len());
                let channel = connection
                    .channel
                    .map(|(topic, channel)| format!("topic {} channel {}", TOPICS[topic], CHANNELS[channel]));
                let channel = channel.unwrap_or_default();
                facts.put(&what, "channel", &channel);
                let messages = connection.held.iter().map(|(body, attempts)| (body.as_str(), *attempts));
                held.entry(channel).or_default().extend(messages);
                rests &= connection.channel.is_none() || seen.contains(&place);
            }
        }
        for (channel, mut messages) in held {
            messages.sort_unstable();
            facts.put(&channel, "messages with consumers", format!("{messages:?}"));
        }
        facts.put("", "answers", format!("{:?}", self.said).replace(&self.prefix, ""));
        (facts, rests)
    }

    fn channel_facts(
        &self,
        topic: &str,
        channel: &Value,
        facts: &mut Facts,
        seen: &mut BTreeSet<usize>,
    ) -> bool {
        let what = format!("topic {topic} channel {}", channel["channel_name"].as_str().unwrap());
        let counts = [
            "in_flight_count",
            "deferred_count",
            "message_count",
            "requeue_count",
            "timeout_count",
            "client_count",
        ];
        facts.add(&what, channel, &counts);
        facts.add(&what, channel, &["paused"]);
        let (depth, deferred) =
            (channel["depth"].as_u64().unwrap(), channel["deferred_count"].as_u64().unwrap());
        facts.put(&what, "depth and deferred", depth + deferred);
        let mut rests = true;
        for client in list(&channel["clients"]) {
            let address = client["remote_address"].as_str().unwrap();
            let mine = self.connections.iter().enumerate().find_map(|(place, connection)| {
                let connection = connection.as_ref().filter(|connection| connection.is_open)?;
                (connection.client.local_address().to_string() == address).then_some((place, connection))
            });
            let Some((place, connection)) = mine else {
                // It has gone, and the server does not know yet.
                rests = false;
                continue;
            };
            seen.insert(place);
            let counts = ["ready_count", "in_flight_count", "finish_count", "requeue_count", "state"];
            facts.add(&format!("{what} client {place}"), client, &counts);
            let names = ["client_id", "hostname", "user_agent", "sample_rate", "version"];
            facts.add(&format!("{what} client {place}"), client, &names);
            rests &= client["message_count"] == connection.received;
            let (ready, held) = (&client["ready_count"], &client["in_flight_count"]);
            let is_waiting = ready.as_u64() > held.as_u64() && depth > 0 && channel["paused"] == false;
            rests &= !is_waiting;
        }
        rests
    }

    /// Sends, reads this many answers, and then until everything was handled or the connection is closed.
    fn converse(&mut self, place: usize, bytes: &[u8], answers: usize) -> Vec<String> {
        let Some(connection) = &mut self.connections[place] else { return Vec::new() };
        let mut said = Vec::new();
        let mut is_over = false;
        let mut is_behind_barrier = false;
        let deadline = Instant::now() + PATIENCE;
        connection.client.send_if_open(bytes);
        loop {
            if said.len() >= answers && !is_over && !is_behind_barrier {
                is_behind_barrier = true;
                let barrier = match connection.channel {
                    Some(_) => format!("FIN {BARRIER_ID}\n").into_bytes(),
                    None => sized(&format!("PUB {BARRIER}"), b"x"),
                };
                // A subscription that was just answered is not known yet; its answer was all there is to wait for.
                if bytes.starts_with(b"SUB ") && answers > 0 {
                    return said;
                }
                connection.client.send_if_open(&barrier);
            }
            match connection
                .client
                .poll(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
            {
                Poll::Frame(Frame::Message(message)) => connection.take(&message, &mut self.ids),
                Poll::Frame(frame) => {
                    let text = shown(&frame);
                    let is_barrier = match connection.channel {
                        Some(_) => text.contains(BARRIER_ID),
                        None => is_behind_barrier && text == "response OK",
                    };
                    if is_barrier {
                        return said;
                    }
                    is_over |= matches!(&frame, Frame::Error(text)
                        if ProtocolError::parse(text).is_none_or(|error| error.is_fatal()));
                    said.push(text);
                }
                Poll::Closed => {
                    said.push("closed".to_owned());
                    connection.is_open = false;
                    return said;
                }
                Poll::Nothing if Instant::now() >= deadline => {
                    said.push("silence".to_owned());
                    return said;
                }
                Poll::Nothing => {}
            }
        }
    }
}

impl Connection {
    fn take(&mut self, message: &Message, ids: &mut BTreeMap<String, MessageId>) {
        let body = String::from_utf8_lossy(&message.body).into_owned();
        self.received += 1;
        ids.insert(body.clone(), message.id);
        self.held.insert(body, message.attempts);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A frame as it is compared: JSON in one order, without what names the server.
fn shown(frame: &Frame) -> String {
    match frame {
        Frame::Error(data) => format!("error {}", data.escape_ascii()),
        Frame::Message(message) => format!("message {:?}", message.body),
        Frame::Response(data) => match serde_json::from_slice::<serde_json::Map<String, Value>>(data) {
            Ok(mut fields) => {
                fields.remove("version");
                let fields: BTreeMap<_, _> = fields.into_iter().collect();
                format!("response {}", serde_json::to_string(&fields).unwrap())
            }
            Err(_) => format!("response {}", data.escape_ascii()),
        },
    }
}
