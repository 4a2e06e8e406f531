//! The NSQ wire protocol V2: bytes in and out, for clients and for servers.
//!
//! Owns names, commands, frames, errors and the `IDENTIFY` negotiation, as
//! <https://nsq.io/clients/tcp_protocol_spec.html> and nsqd 1.3 define them. nsqd's texts (clients compare
//! whole strings) are reproduced word for word.
//!
//! This crate must never decide anything about delivery, and never look into a message's body. It opens
//! sockets only in its `client` feature, which a server leaves off.
//!
//! A server reads commands and writes frames:
//!
//! ```
//! use bis_nsq::{Command, Limits, decode_command, encode_response};
//! use bytes::BytesMut;
//!
//! let mut received = BytesMut::from(&b"PUB orders\n\0\0\0\x02hi"[..]);
//! let command = decode_command(&mut received, &Limits::default(), |_| Ok(())).unwrap().unwrap();
//! assert!(matches!(command, Command::Publish { topic, body } if topic == "orders" && body == "hi"));
//!
//! let mut sent = BytesMut::new();
//! encode_response(&mut sent, b"OK");
//! assert_eq!(&sent[..], b"\0\0\0\x06\0\0\0\0OK");
//! ```

mod bodies;
mod command;
mod decode;
mod error;
mod frame;
mod headers;
mod identify;
mod limits;
mod message;
mod name;
mod published;
mod waiting;

#[cfg(feature = "client")]
pub mod client;

pub use bodies::Bodies;
pub use command::Command;
pub use decode::{Decoder, cut_off, decode_command};
pub use error::{ErrorCode, ProtocolError};
pub use frame::{
    Frame, FrameError, decode_frame, encode_error, encode_message, encode_message_with_history,
    encode_response, message_header,
};
pub use headers::Headers;
pub use identify::{
    EXTENSION_VERSION, Extension, FEATURE_DEDUP, FEATURE_HEADERS, FEATURE_HISTORY, FEATURE_ORDERED,
    FEATURE_PEEK, FEATURE_POSTPONE, FEATURE_RECEIPT, FEATURE_RELEASE, FEATURE_REPLAY, FEATURE_RESERVE,
    FEATURE_RETENTION, Identify, IdentifyReply, Ranges,
};
pub use limits::Limits;
pub use message::{History, Message, MessageId};
pub use name::{MAX_NAME_BYTES, Name, NameError};
pub use published::Published;
pub use waiting::{PeekPage, ReplayFrom, Replayed, WaitingMessage, WaitingState};

/// What a client of protocol V2 sends before its first command.
pub const MAGIC_V2: &[u8; 4] = b"  V2";

/// The response to a command that was accepted.
pub const OK: &[u8] = b"OK";

/// The response that asks the client for a sign of life, which is a `NOP` or any other command.
pub const HEARTBEAT: &[u8] = b"_heartbeat_";

/// The response to `CLS`: no more messages will come; those in flight may still be settled.
pub const CLOSE_WAIT: &[u8] = b"CLOSE_WAIT";
