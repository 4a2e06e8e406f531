//! What a client sends, as data, and its bytes.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Bodies, Headers, MessageId, Name, ReplayFrom, headers::whole_millis};

/// A client's command. Bodies share the buffer that they were read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `IDENTIFY`: who the client is and what it wants; see [`Identify`](crate::Identify) for the body.
    Identify(Bytes),
    /// `AUTH`: the secret that an authorization server judges.
    Auth(Bytes),
    /// `SUB`: deliver this channel's messages to this connection.
    Subscribe {
        /// The topic.
        topic: Name,
        /// The channel, created with its topic if it does not exist.
        channel: Name,
        /// Whether messages with the same key come one at a time and in order: the word `ordered` after the
        /// channel (Bis's extension). Only after the server offered
        /// [`FEATURE_ORDERED`](crate::FEATURE_ORDERED); nsqd ignores the word.
        ordered: bool,
    },
    /// `RDY`: deliver while fewer than this many messages are in flight.
    Ready(u32),
    /// `FIN`: the message was handled.
    Finish(MessageId),
    /// `REQ`: deliver the message again.
    Requeue {
        /// Which message.
        id: MessageId,
        /// How long to wait first, clamped to the server's limit.
        delay: Duration,
    },
    /// `TOUCH`: restart the message's timeout.
    Touch(MessageId),
    /// `RELEASE` (Bis's extension): give back a message without counting it as an attempt. Only after the server offered
    /// [`FEATURE_RELEASE`](crate::FEATURE_RELEASE), and with a delay only after it offered
    /// [`FEATURE_POSTPONE`](crate::FEATURE_POSTPONE).
    Release {
        /// Which message.
        id: MessageId,
        /// `None`: the message was never started, and is redelivered at once. Otherwise its handler has finished, and it
        /// is redelivered after this delay, clamped to the server's limit.
        delay: Option<Duration>,
    },
    /// `PUB`: take one message.
    Publish {
        /// The topic.
        topic: Name,
        /// The message.
        body: Bytes,
    },
    /// `MPUB`: take all these messages or none.
    MultiPublish {
        /// The topic.
        topic: Name,
        /// The messages, at least one.
        bodies: Bodies,
    },
    /// `DPUB`: take one message and deliver it later.
    DeferredPublish {
        /// The topic.
        topic: Name,
        /// How long to wait, in whole milliseconds.
        delay: Duration,
        /// The message.
        body: Bytes,
    },
    /// `HPUB` (Bis's extension): take one message with headers beside its body; see [`Headers`] for the
    /// bytes. Only after the server offered [`FEATURE_HEADERS`](crate::FEATURE_HEADERS); use
    /// [`Command::without_headers`] for the others.
    HeadedPublish {
        /// The topic.
        topic: Name,
        /// The message's headers.
        headers: Headers,
        /// The message.
        body: Bytes,
    },
    /// `PEEK` (Bis's extension): show unfinished messages of a channel and take none; answered with a
    /// [`PeekPage`](crate::PeekPage) as JSON. Only after the server offered [`FEATURE_PEEK`](crate::FEATURE_PEEK).
    Peek {
        /// The topic.
        topic: Name,
        /// The channel.
        channel: Name,
        /// The most messages to show; a server may show fewer at once.
        limit: u32,
        /// Only messages after this position in the topic.
        after: Option<u64>,
    },
    /// `REPLAY` (Bis's extension): deliver everything from a position on (again) to a channel; answered with
    /// [`Replayed`](crate::Replayed) as JSON. Only after the server offered [`FEATURE_REPLAY`](crate::FEATURE_REPLAY).
    Replay {
        /// The topic.
        topic: Name,
        /// The channel.
        channel: Name,
        /// Where to begin; the nearest message that is kept, if that one is not.
        from: ReplayFrom,
    },
    /// `RETAIN` (Bis's extension): keep messages that every channel of a topic has finished for a while, so that they can be
    /// replayed. Valid until the next `RETAIN`, also across restarts. Only after the server offered
    /// [`FEATURE_RETENTION`](crate::FEATURE_RETENTION).
    Retain {
        /// The topic, created if it does not exist.
        topic: Name,
        /// The greatest age of a message that can be replayed, rounded up to whole seconds.
        max_age: Duration,
        /// About how many bytes can be replayed at most.
        max_bytes: u64,
    },
    /// `CLS`: no more messages, please; answered with `CLOSE_WAIT`.
    Close,
    /// `NOP`: the sign of life that a heartbeat asks for.
    Nop,
}

impl Command {
    /// The command's word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Identify(_) => "IDENTIFY",
            Self::Auth(_) => "AUTH",
            Self::Subscribe { .. } => "SUB",
            Self::Ready(_) => "RDY",
            Self::Finish(_) => "FIN",
            Self::Requeue { .. } => "REQ",
            Self::Touch(_) => "TOUCH",
            Self::Release { .. } => "RELEASE",
            Self::Publish { .. } => "PUB",
            Self::MultiPublish { .. } => "MPUB",
            Self::DeferredPublish { .. } => "DPUB",
            Self::HeadedPublish { .. } => "HPUB",
            Self::Peek { .. } => "PEEK",
            Self::Replay { .. } => "REPLAY",
            Self::Retain { .. } => "RETAIN",
            Self::Close => "CLS",
            Self::Nop => "NOP",
        }
    }

    /// The same publish for a server that does not know headers: the key and the event's id are left out.
    /// Every other command is unchanged.
    #[must_use]
    pub fn without_headers(self) -> Self {
        match self {
            Self::HeadedPublish { topic, headers, body } if headers.delay.is_zero() => {
                Self::Publish { topic, body }
            }
            Self::HeadedPublish { topic, headers, body } => {
                Self::DeferredPublish { topic, delay: headers.delay, body }
            }
            other => other,
        }
    }

    /// Appends the command's bytes. Durations are sent in whole milliseconds, rounded up, so that no message
    /// comes early.
    pub fn encode(&self, buffer: &mut BytesMut) {
        buffer.put_slice(self.word().as_bytes());
        self.put_parameters(buffer);
        buffer.put_u8(b'\n');
        self.put_body(buffer);
    }

    /// What follows the command's word on its line.
    fn put_parameters(&self, buffer: &mut BytesMut) {
        match self {
            Self::Close | Self::Nop | Self::Identify(_) | Self::Auth(_) => {}
            Self::Finish(id) | Self::Touch(id) | Self::Release { id, delay: None } => put_id(buffer, id),
            Self::Requeue { id, delay } | Self::Release { id, delay: Some(delay) } => {
                put_id(buffer, id);
                put_number(buffer, whole_millis(*delay));
            }
            Self::Ready(count) => put_number(buffer, u64::from(*count)),
            Self::Subscribe { topic, channel, ordered } => {
                put_name(buffer, topic);
                put_name(buffer, channel);
                if *ordered {
                    buffer.put_slice(b" ordered");
                }
            }
            Self::Peek { topic, channel, limit, after } => {
                put_name(buffer, topic);
                put_name(buffer, channel);
                put_number(buffer, u64::from(*limit));
                if let Some(after) = after {
                    put_number(buffer, *after);
                }
            }
            Self::Replay { topic, channel, from } => {
                put_name(buffer, topic);
                put_name(buffer, channel);
                let (word, number) = match from {
                    ReplayFrom::Sequence(sequence) => (&b" sequence"[..], *sequence),
                    ReplayFrom::Time(time) => (&b" time"[..], *time),
                };
                buffer.put_slice(word);
                put_number(buffer, number);
            }
            Self::Retain { topic, max_age, max_bytes } => {
                put_name(buffer, topic);
                put_number(buffer, whole_seconds(*max_age));
                put_number(buffer, *max_bytes);
            }
            Self::Publish { topic, .. }
            | Self::HeadedPublish { topic, .. }
            | Self::MultiPublish { topic, .. } => {
                put_name(buffer, topic);
            }
            Self::DeferredPublish { topic, delay, .. } => {
                put_name(buffer, topic);
                put_number(buffer, whole_millis(*delay));
            }
        }
    }

    /// What follows the command's line: its size and its bytes.
    fn put_body(&self, buffer: &mut BytesMut) {
        match self {
            Self::Identify(body) | Self::Auth(body) => put_sized(buffer, body),
            Self::Publish { body, .. } | Self::DeferredPublish { body, .. } => put_sized(buffer, body),
            Self::HeadedPublish { headers, body, .. } => {
                let size = headers.len() + body.len();
                buffer.reserve(4 + size);
                put_length(buffer, size);
                headers.encode(buffer);
                buffer.put_slice(body);
            }
            Self::MultiPublish { bodies, .. } => {
                buffer.reserve(4 + bodies.encoded_bytes());
                put_length(buffer, bodies.encoded_bytes());
                bodies.encode(buffer);
            }
            _ => {}
        }
    }
}

fn put_id(buffer: &mut BytesMut, id: &MessageId) {
    buffer.put_u8(b' ');
    buffer.put_slice(id.as_bytes());
}

fn put_name(buffer: &mut BytesMut, name: &Name) {
    buffer.put_u8(b' ');
    buffer.put_slice(name.as_bytes());
}

/// A duration as it is sent: rounded up, so that less than a second does not become zero.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn put_number(buffer: &mut BytesMut, number: u64) {
    buffer.put_u8(b' ');
    buffer.put_slice(number.to_string().as_bytes());
}

fn put_sized(buffer: &mut BytesMut, body: &[u8]) {
    buffer.reserve(4 + body.len());
    put_length(buffer, body.len());
    buffer.put_slice(body);
}

fn put_length(buffer: &mut BytesMut, length: usize) {
    buffer.put_i32(i32::try_from(length).expect("bodies are bounded far below 2 GiB"));
}
