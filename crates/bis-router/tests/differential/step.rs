//! What is done to both servers: one step, and how a seed makes many.
//!
//! A step holds no names and no identifiers but their places, so that it means the same to both servers, and still
//! something after steps before it were left out.

use std::fmt;

use crate::random::Random;

/// How many connections there are.
pub const CONNECTIONS: usize = 3;
/// The topics' names, after the game's prefix.
pub const TOPICS: [&str; 3] = ["a", "b", "c#ephemeral"];
/// The channels' names.
pub const CHANNELS: [&str; 3] = ["x", "y", "z#ephemeral"];
/// How many steps a seed makes.
const STEPS: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// On a connection, which is opened if need be.
    Command { connection: usize, command: Command },
    /// The client disconnects silently.
    Disconnect { connection: usize },
    /// Bytes that may be anything; nothing is sent afterwards.
    Garbage { connection: usize, bytes: Vec<u8> },
    /// A request to the HTTP API. `{topic}` in the path stands for a topic.
    Http { method: &'static str, path: String, topic: usize, body: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Identify(&'static str),
    Subscribe {
        topic: usize,
        channel: usize,
    },
    Ready(u32),
    Publish {
        topic: usize,
        body: String,
    },
    MultiPublish {
        topic: usize,
        bodies: Vec<String>,
    },
    Deferred {
        topic: usize,
        millis: u64,
        body: String,
    },
    Finish(Which),
    Requeue(Which, u64),
    Touch(Which),
    Close,
    Nop,
    /// A line that both must refuse for good, or answer with this many frames.
    Line {
        bytes: Vec<u8>,
        answers: usize,
    },
}

/// Which message a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// One that the connection holds, on both servers.
    Held(usize),
    /// One that another connection holds.
    Foreign(usize),
    /// The one that the connection settled last.
    Settled,
    /// None that ever was.
    Unknown,
}

/// What IDENTIFY asks for. Nothing by which deliveries become a matter of chance or of seconds.
const ASKS: &[&str] = &[
    "{}",
    r#"{"feature_negotiation":true}"#,
    r#"{"feature_negotiation":true,"client_id":"c","hostname":"h","user_agent":"u/1"}"#,
    r#"{"feature_negotiation":true,"msg_timeout":30000}"#,
    r#"{"feature_negotiation":true,"msg_timeout":900000,"heartbeat_interval":60000}"#,
    r#"{"feature_negotiation":true,"output_buffer_size":64,"output_buffer_timeout":25}"#,
    r#"{"feature_negotiation":true,"output_buffer_size":-1}"#,
    r#"{"feature_negotiation":true,"output_buffer_timeout":-1}"#,
    r#"{"feature_negotiation":true,"color":"red","deflate_level":3}"#,
    r#"{"heartbeat_interval":-1}"#,
    r#"{"heartbeat_interval":999}"#,
    r#"{"heartbeat_interval":60001}"#,
    r#"{"output_buffer_size":63}"#,
    r#"{"output_buffer_size":65537}"#,
    r#"{"output_buffer_timeout":24}"#,
    r#"{"output_buffer_timeout":30001}"#,
    r#"{"sample_rate":100}"#,
    r#"{"sample_rate":-1}"#,
    r#"{"msg_timeout":999}"#,
    r#"{"msg_timeout":900001}"#,
    r#"{"client_id":7}"#,
    r#"{"tls_v1":1}"#,
    "[]",
    "null",
    "{",
    "7",
];

/// Lines, each with the number of frames that answer it when it is not refused.
const LINES: &[(&[u8], usize)] = &[
    (b"\n", 0),
    (b"HELLO\n", 0),
    (b"pub a\n", 0),
    (b"PUB\n", 0),
    (b"PUB a/b\n", 0),
    (b"PUB \n", 0),
    (b"PUB a\n\0\0\0\0", 0),
    (b"PUB a\n\xff\xff\xff\xff", 0),
    (b"PUB a\n\x7f\xff\xff\xff", 0),
    (b"MPUB\n", 0),
    (b"MPUB a b\n\0\0\0\0", 0),
    (b"MPUB a\n\0\0\0\x04\0\0\0\0", 0),
    (b"MPUB a\n\0\0\0\x08\0\0\0\x01\0\0\0\0", 0),
    (b"MPUB a\n\0\0\0\x03\0\0\0\x03\0\0\0\x01a\0\0\0\x01b\0\0\0\x01c", 1),
    (b"MPUB a\n\0\0\0\x63\0\0\0\x01\0\0\0\x01a", 1),
    (b"MPUB a#b\n", 0),
    (b"DPUB a\n", 0),
    (b"DPUB a -1\n", 0),
    (b"DPUB a x\n", 0),
    (b"DPUB a 3600001\n", 0),
    (b"DPUB a/b 0\n", 0),
    (b"DPUB a 0\n\0\0\0\0", 0),
    (b"SUB\n", 0),
    (b"SUB a\n", 0),
    (b"SUB a/b c\n", 0),
    (b"SUB a b/c\n", 0),
    (b"SUB a \n", 0),
    (b"RDY -1\n", 0),
    (b"RDY x\n", 0),
    (b"RDY 2501\n", 0),
    (b"RDY 99999999999\n", 0),
    (b"FIN\n", 0),
    (b"FIN 0123\n", 0),
    (b"FIN 0123456789abcdef0\n", 0),
    (b"REQ\n", 0),
    (b"REQ 0123456789abcdef\n", 0),
    (b"REQ 0123456789abcdef x\n", 0),
    (b"REQ 0123 0\n", 0),
    (b"TOUCH\n", 0),
    (b"TOUCH 0123\n", 0),
    (b"NOP NOP\n", 0),
    (b"NOP\r\n", 0),
    (b"AUTH\n\0\0\0\x01x", 0),
    (b"AUTH x\n", 0),
    (b"AUTH\n\0\0\0\0", 0),
    (b"IDENTIFY\n\0\0\0\0", 0),
    (b"IDENTIFY\n\xff\xff\xff\xff", 0),
    (b"IDENTIFY x\n\0\0\0\x02{}", 1),
];

/// The steps of a seed.
pub fn generate(seed: u64) -> Vec<Step> {
    let random = &mut Random::new(seed);
    let mut steps = Vec::with_capacity(STEPS);
    // A game without a consumer is a dull one.
    if random.percent(80) {
        let (topic, channel) = (random.below(TOPICS.len()), random.below(CHANNELS.len()));
        steps.push(Step::Command { connection: 0, command: Command::Subscribe { topic, channel } });
        let ready = random.pick(&[1, 3, 100]);
        steps.push(Step::Command { connection: 0, command: Command::Ready(ready) });
    }
    while steps.len() < STEPS {
        let number = steps.len();
        steps.push(step(random, number));
    }
    steps
}

fn step(random: &mut Random, number: usize) -> Step {
    let connection = random.below(CONNECTIONS);
    match random.below(100) {
        0..=1 => Step::Disconnect { connection },
        2..=5 => Step::Garbage { connection, bytes: garbage(random) },
        6..=24 => http(random, number),
        _ => Step::Command { connection, command: command(random, number) },
    }
}

fn command(random: &mut Random, number: usize) -> Command {
    // Few topics, so that publishes and subscriptions meet.
    let topic = random.below(TOPICS.len());
    let body = || format!("m{number}");
    match random.below(100) {
        0..=6 => Command::Identify(random.pick(ASKS)),
        7..=17 => Command::Subscribe { topic, channel: random.below(CHANNELS.len()) },
        18..=29 => Command::Ready(random.pick(&[0, 1, 1, 2, 5, 100, 2500])),
        30..=47 => Command::Publish { topic, body: body() },
        48..=53 => {
            let bodies = (0..=random.below(4)).map(|index| format!("m{number}.{index}")).collect();
            Command::MultiPublish { topic, bodies }
        }
        54..=57 => {
            Command::Deferred { topic, millis: random.pick(&[0, 0, 600_000, 3_600_000]), body: body() }
        }
        58..=71 => Command::Finish(which(random)),
        72..=80 => Command::Requeue(which(random), random.pick(&[0, 0, 0, 600_000, 3_600_000, 4_000_000])),
        81..=86 => Command::Touch(which(random)),
        87..=88 => Command::Close,
        89..=91 => Command::Nop,
        _ => {
            let (bytes, answers) = random.pick(LINES);
            Command::Line { bytes: bytes.to_vec(), answers }
        }
    }
}

fn which(random: &mut Random) -> Which {
    match random.below(10) {
        0..=6 => Which::Held(random.below(8)),
        7 => Which::Foreign(random.below(8)),
        8 => Which::Settled,
        _ => Which::Unknown,
    }
}

fn http(random: &mut Random, number: usize) -> Step {
    let topic = random.below(TOPICS.len());
    let channel = random.pick(&CHANNELS).replace('#', "%23");
    let post = |path: &str, body: &str| Step::Http {
        method: "POST",
        path: path.replace("{channel}", &channel),
        topic,
        body: body.into(),
    };
    match random.below(100) {
        0..=14 => post("/pub?topic={topic}", &format!("m{number}")),
        15..=20 => post("/mpub?topic={topic}", &format!("m{number}.0\n\nm{number}.1\n")),
        21..=24 => post("/mpub?topic={topic}&binary=true", "\0\0\0\x01\0\0\0\x01b"),
        25..=28 => post("/pub?topic={topic}&defer=600000", &format!("m{number}")),
        29..=32 => post("/topic/create?topic={topic}", ""),
        33..=40 => post("/channel/create?topic={topic}&channel={channel}", ""),
        41..=43 => post("/topic/delete?topic={topic}", ""),
        44..=48 => post("/channel/delete?topic={topic}&channel={channel}", ""),
        49..=53 => post("/topic/empty?topic={topic}", ""),
        54..=58 => post("/channel/empty?topic={topic}&channel={channel}", ""),
        59..=61 => post("/topic/pause?topic={topic}", ""),
        62..=69 => post("/topic/unpause?topic={topic}", ""),
        70..=74 => post("/channel/pause?topic={topic}&channel={channel}", ""),
        75..=82 => post("/channel/unpause?topic={topic}&channel={channel}", ""),
        _ => {
            let path = random.pick(&[
                "/pub",
                "/pub?topic=",
                "/pub?topic=a%2Fb",
                "/pub?topic=%zz",
                "/pub?topic={topic}&defer=x",
                "/pub?topic={topic}&defer=-1",
                "/pub?topic={topic}&defer=3600001",
                "/mpub",
                "/mpub?topic={topic}&binary=true",
                "/topic/create",
                "/topic/create?topic=a%2Fb",
                "/topic/delete?topic=a%2Fb",
                "/topic/empty",
                "/channel/create?topic={topic}",
                "/channel/create?topic={topic}&channel=a%2Fb",
                "/channel/pause?channel=x",
                "/channel/nothing",
                "/info",
                "/stats",
            ]);
            let body = random.pick(&["", "x", "\0\0\0\x01\0\0\0\x02x"]);
            // A server that does not read a body may close before the answer to it has arrived.
            post(path, if path.contains("pub") { body } else { "" })
        }
    }
}

/// A good command, or several, with some bytes changed, left out, put in or cut off.
fn garbage(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(3) {
        let good: &[&[u8]] = &[
            b"IDENTIFY\n\0\0\0\x02{}",
            b"SUB garbage x\n",
            b"RDY 1\n",
            b"PUB garbage\n\0\0\0\x04body",
            b"DPUB garbage 0\n\0\0\0\x04body",
            b"MPUB garbage\n\0\0\0\x10\0\0\0\x02\0\0\0\x03one\0\0\0\x01x",
            b"MPUB garbage\n\0\0\0\x04\0\0\0\x02\0\0\0\x03one\0\0\0\x01x",
            b"FIN 0123456789abcdef\n",
            b"REQ 0123456789abcdef 0\n",
            b"TOUCH 0123456789abcdef\n",
            b"CLS\n",
            b"NOP\n",
            b"AUTH\n\0\0\0\x01x",
        ];
        bytes.extend_from_slice(random.pick(good));
    }
    for _ in 0..random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, random.pick(b"\n \0\xffa#/")),
            _ => bytes.truncate(at + 1),
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    bytes
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { connection, command: Command::Line { bytes, .. } } => {
                write!(formatter, "{connection}: line \"{}\"", bytes.escape_ascii())
            }
            Self::Command { connection, command } => write!(formatter, "{connection}: {command:?}"),
            Self::Disconnect { connection } => write!(formatter, "{connection}: disconnect"),
            Self::Garbage { connection, bytes } => {
                write!(formatter, "{connection}: garbage \"{}\"", bytes.escape_ascii())
            }
            Self::Http { method, path, topic, body } => {
                let path = path.replace("{topic}", TOPICS[*topic]);
                write!(formatter, "http: {method} {path} \"{}\"", body.escape_ascii())
            }
        }
    }
}
