//! `IDENTIFY`: what a client asks for and what the server grants, as JSON.

use std::fmt;
use std::time::Duration;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{ErrorCode, Limits, ProtocolError};

/// The version of Bis's extension of the protocol.
pub const EXTENSION_VERSION: u32 = 1;

/// The feature of a server that understands [`Command::Release`](crate::Command::Release).
pub const FEATURE_RELEASE: &str = "release";

/// The feature of a server that understands a [`Command::Release`](crate::Command::Release) with a delay.
pub const FEATURE_POSTPONE: &str = "postpone";

/// The feature of a server that understands [`Command::HeadedPublish`](crate::Command::HeadedPublish).
pub const FEATURE_HEADERS: &str = "headers";

/// The feature of a server that understands a `SUB` that asks for order by key; see
/// [`Command::Subscribe`](crate::Command::Subscribe).
pub const FEATURE_ORDERED: &str = "ordered";

/// The feature of a server that stores an event only once when it is published again with the same id (header
/// `event` of [`Command::HeadedPublish`](crate::Command::HeadedPublish)), within [`Extension::dedup_window`].
pub const FEATURE_DEDUP: &str = "dedup";

/// The feature of a server that understands [`Command::Replay`](crate::Command::Replay).
pub const FEATURE_REPLAY: &str = "replay";

/// The feature of a server that understands [`Command::Retain`](crate::Command::Retain).
pub const FEATURE_RETENTION: &str = "retention";

/// The feature of a server that understands [`Command::Peek`](crate::Command::Peek).
pub const FEATURE_PEEK: &str = "peek";

/// The feature of a server that reserves room for what handlers publish; see
/// [`Headers::is_from_handler`](crate::Headers::is_from_handler).
pub const FEATURE_RESERVE: &str = "reserve";

/// The feature of a server that reports a message's history to clients that name the feature in their
/// `IDENTIFY`: see [`History`](crate::History).
pub const FEATURE_HISTORY: &str = "history";

/// The feature of a server that reports a message's position, and whether its event was already known, when
/// asked to; see [`Headers::wants_receipt`](crate::Headers::wants_receipt).
pub const FEATURE_RECEIPT: &str = "receipt";

/// The body of `IDENTIFY`. Numbers that are 0 or absent mean the server's default; all times are in
/// milliseconds. Unknown fields are ignored, as in nsqd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identify {
    /// A name for this client in statistics.
    pub client_id: String,
    /// The client's host.
    pub hostname: String,
    /// The client's software and version.
    pub user_agent: String,
    /// Whether the reply should be an [`IdentifyReply`] and not just `OK`.
    pub feature_negotiation: bool,
    /// The time between heartbeats, 1000 to 60000, or -1 for none.
    pub heartbeat_interval: i64,
    /// The server's write buffer in bytes, 64 to 65536, or -1 for none.
    pub output_buffer_size: i64,
    /// The longest wait in the write buffer, 25 to 30000, or -1 for no limit.
    pub output_buffer_timeout: i64,
    /// The time that a delivery may take, 1000 to 900000.
    pub msg_timeout: i64,
    /// Deliver only this percentage of messages, 1 to 99; 0 delivers all.
    pub sample_rate: i64,
    /// Ask for TLS.
    pub tls_v1: bool,
    /// Ask for snappy compression.
    pub snappy: bool,
    /// Ask for deflate compression.
    pub deflate: bool,
    /// The level of deflate compression.
    pub deflate_level: i64,
    /// The region that the client runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_region: String,
    /// The zone that the client runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_zone: String,
    /// Ask for Bis's extension; nsqd ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bis: Option<Extension>,
}

impl Identify {
    /// Reads the body and checks every number against the server's ranges, in nsqd's words. Like nsqd, it treats `null`
    /// as an absent field, and accepts field names in any case.
    pub fn parse(body: &[u8], ranges: &Ranges) -> Result<Self, ProtocolError> {
        let identify = Self::decode(body)
            .map_err(|_| ProtocolError::new(ErrorCode::BadBody, "IDENTIFY failed to decode JSON body"))?;
        // nsqd reads this one into 32 bits.
        if i32::try_from(identify.sample_rate).is_err() {
            return Err(ProtocolError::new(ErrorCode::BadBody, "IDENTIFY failed to decode JSON body"));
        }
        identify.check(ranges)?;
        Ok(identify)
    }

    fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        // Bytes that are not UTF-8 are replaced, as in Go: a host name may be in an old encoding.
        let lenient: Option<Lenient> = serde_json::from_str(&String::from_utf8_lossy(body))?;
        Ok(lenient.unwrap_or_default().0)
    }

    /// The body as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and flags always serialize")
    }

    fn check(&self, ranges: &Ranges) -> Result<(), ProtocolError> {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let range = |what: &str, value: i64, none: bool, least: i64, most: i64| {
            if value == 0 || (none && value == -1) || (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ProtocolError::new(ErrorCode::BadBody, format!("IDENTIFY {what} ({value}) is invalid")))
        };
        let (least, most) = (millis(Limits::MIN_HEARTBEAT), millis(ranges.max_heartbeat));
        range("heartbeat interval", self.heartbeat_interval, true, least, most)?;
        let least = millis(ranges.min_output_buffer_timeout);
        let most = millis(ranges.max_output_buffer_timeout);
        range("output buffer timeout", self.output_buffer_timeout, true, least, most)?;
        let least = Limits::MIN_OUTPUT_BUFFER_BYTES as i64;
        let most = i64::try_from(ranges.max_output_buffer_bytes).unwrap_or(i64::MAX);
        range("output buffer size", self.output_buffer_size, true, least, most)?;
        range("sample rate", self.sample_rate, false, 0, 99)?;
        let (least, most) = (millis(Limits::MIN_MESSAGE_TIMEOUT), millis(ranges.max_message_timeout));
        range("msg timeout", self.msg_timeout, false, least, most)
    }
}

/// A body as Go reads it. Unknown fields are skipped and not kept: there may be a million of them.
#[derive(Default)]
struct Lenient(Identify);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Lenient {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let (map, identify) = (&mut map, &mut self.0);
        while let Some(name) = map.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "client_id" => fill(&mut identify.client_id, map)?,
                "hostname" => fill(&mut identify.hostname, map)?,
                "user_agent" => fill(&mut identify.user_agent, map)?,
                "feature_negotiation" => fill(&mut identify.feature_negotiation, map)?,
                "heartbeat_interval" => fill(&mut identify.heartbeat_interval, map)?,
                "output_buffer_size" => fill(&mut identify.output_buffer_size, map)?,
                "output_buffer_timeout" => fill(&mut identify.output_buffer_timeout, map)?,
                "msg_timeout" => fill(&mut identify.msg_timeout, map)?,
                "sample_rate" => fill(&mut identify.sample_rate, map)?,
                "tls_v1" => fill(&mut identify.tls_v1, map)?,
                "snappy" => fill(&mut identify.snappy, map)?,
                "deflate" => fill(&mut identify.deflate, map)?,
                "deflate_level" => fill(&mut identify.deflate_level, map)?,
                "topology_region" => fill(&mut identify.topology_region, map)?,
                "topology_zone" => fill(&mut identify.topology_zone, map)?,
                "bis" => fill(&mut identify.bis, map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self)
    }
}

/// Takes a field's value; `null` leaves it as it is.
fn fill<'de, T: Deserialize<'de>, A: MapAccess<'de>>(field: &mut T, map: &mut A) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        *field = value;
    }
    Ok(())
}

/// What a client may ask for in `IDENTIFY`, with nsqd's defaults. Everything else has fixed bounds, in [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// The longest time between heartbeats.
    pub max_heartbeat: Duration,
    /// The largest write buffer, in bytes.
    pub max_output_buffer_bytes: usize,
    /// The shortest wait in the write buffer.
    pub min_output_buffer_timeout: Duration,
    /// The longest wait in the write buffer.
    pub max_output_buffer_timeout: Duration,
    /// The longest time that a delivery may take.
    pub max_message_timeout: Duration,
}

impl Default for Ranges {
    fn default() -> Self {
        Self {
            max_heartbeat: Limits::MAX_HEARTBEAT,
            max_output_buffer_bytes: Limits::MAX_OUTPUT_BUFFER_BYTES,
            min_output_buffer_timeout: Limits::MIN_OUTPUT_BUFFER_TIMEOUT,
            max_output_buffer_timeout: Limits::MAX_OUTPUT_BUFFER_TIMEOUT,
            max_message_timeout: Limits::MAX_MESSAGE_TIMEOUT,
        }
    }
}

/// The reply to an `IDENTIFY` with `feature_negotiation`. All times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdentifyReply {
    /// The largest count of `RDY`.
    pub max_rdy_count: i64,
    /// The server's version.
    pub version: String,
    /// The longest that `TOUCH` can extend a delivery to.
    pub max_msg_timeout: i64,
    /// The time that a delivery may take on this connection.
    pub msg_timeout: i64,
    /// Whether TLS begins after this reply.
    pub tls_v1: bool,
    /// Whether deflate begins after this reply.
    pub deflate: bool,
    /// The level of deflate in use.
    pub deflate_level: i64,
    /// The highest level of deflate.
    pub max_deflate_level: i64,
    /// Whether snappy begins after this reply.
    pub snappy: bool,
    /// The percentage of messages delivered; 0 means all.
    pub sample_rate: i64,
    /// Whether `AUTH` must follow.
    pub auth_required: bool,
    /// The server's write buffer in bytes.
    pub output_buffer_size: i64,
    /// The longest wait in the write buffer.
    pub output_buffer_timeout: i64,
    /// The region that the server runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_region: String,
    /// The zone that the server runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topology_zone: String,
    /// What the server offers beyond NSQ, for clients that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bis: Option<Extension>,
}

impl IdentifyReply {
    /// The reply as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and flags always serialize")
    }

    /// Whether the server offered `feature`, in a version of the extension that this crate supports.
    #[must_use]
    pub fn offers(&self, feature: &str) -> bool {
        self.bis.as_ref().is_some_and(|extension| extension.names(feature))
    }
}

/// Bis's extension of the protocol: a client asks with its version, a server answers with what it offers.
/// Its commands are used only after the offer, because an unknown command is fatal on nsqd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extension {
    /// [`EXTENSION_VERSION`].
    pub version: u32,
    /// What the server offers, such as [`FEATURE_RELEASE`]; in a client's question, the features it wants that change
    /// what the server sends: [`FEATURE_HISTORY`].
    pub features: Vec<String>,
    /// In a client's question: a random text of its process, the same on all of its connections. Once a process connects
    /// again, the messages that it held when a connection broke are not suspected of having crashed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// The longest delay of a publish or a `REQ`, in milliseconds; 0 is left out.
    #[serde(skip_serializing_if = "is_nought")]
    pub max_delay: i64,
    /// The largest message in bytes; 0 is left out.
    #[serde(skip_serializing_if = "is_nought")]
    pub max_message_bytes: i64,
    /// How many of the latest events [`FEATURE_DEDUP`] covers; 0 is left out.
    #[serde(skip_serializing_if = "is_nought")]
    pub dedup_window: i64,
}

fn is_nought(number: &i64) -> bool {
    *number == 0
}

impl Extension {
    /// A client's question.
    #[must_use]
    pub fn ask() -> Self {
        Self { version: EXTENSION_VERSION, ..Self::default() }
    }

    /// The question of a client that supports the whole extension.
    #[must_use]
    pub fn ask_of(process: impl Into<String>) -> Self {
        Self { process: process.into(), ..Self::offer(&[FEATURE_HISTORY]) }
    }

    /// Whether this feature is named, in a version of the extension that this crate supports.
    #[must_use]
    pub fn names(&self, feature: &str) -> bool {
        self.version == EXTENSION_VERSION && self.features.iter().any(|known| known == feature)
    }

    /// A server's offer.
    #[must_use]
    pub fn offer(features: &[&str]) -> Self {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Self { version: EXTENSION_VERSION, features, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_clients_body_is_read() {
        // What go-nsq 1.1 sends.
        let body = br#"{"client_id":"c","deflate":false,"deflate_level":6,"feature_negotiation":true,
            "heartbeat_interval":30000,"hostname":"h","long_id":"h","msg_timeout":0,
            "output_buffer_size":16384,"output_buffer_timeout":250,"sample_rate":0,"short_id":"c",
            "snappy":false,"tls_v1":false,"user_agent":"go-nsq/1.1.0"}"#;
        let identify = Identify::parse(body, &Ranges::default()).unwrap();
        assert_eq!(identify.heartbeat_interval, 30000);
        assert!(identify.feature_negotiation);
        assert_eq!(identify.bis, None);
        assert_eq!(Identify::parse(b"{}", &Ranges::default()).unwrap(), Identify::default());
    }

    #[test]
    fn json_is_read_as_go_reads_it() {
        // What tokio-nsq 0.14 sends.
        let body =
            br#"{"client_id":null,"hostname":"h","user_agent":"tokio_nsq/0.14.0","feature_negotiation":true,
            "tls_v1":false,"deflate":false,"snappy":true,"sample_rate":null}"#;
        let identify = Identify::parse(body, &Ranges::default()).unwrap();
        assert_eq!((identify.client_id.as_str(), identify.sample_rate, identify.snappy), ("", 0, true));
        assert_eq!(Identify::parse(b"null", &Ranges::default()).unwrap(), Identify::default());
        let other_case = Identify::parse(br#"{"Sample_Rate":5}"#, &Ranges::default()).unwrap();
        assert_eq!(other_case.sample_rate, 5);
        let no_text = Identify::parse(b"{\"hostname\":\"a\xff\"}", &Ranges::default()).unwrap();
        assert_eq!(no_text.hostname, "a\u{fffd}");
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_nsqds_words() {
        let check = |body: &str, text: &str| {
            assert_eq!(Identify::parse(body.as_bytes(), &Ranges::default()).unwrap_err().to_string(), text);
        };
        check("[", "E_BAD_BODY IDENTIFY failed to decode JSON body");
        check(r#"{"heartbeat_interval":999}"#, "E_BAD_BODY IDENTIFY heartbeat interval (999) is invalid");
        check(r#"{"output_buffer_size":63}"#, "E_BAD_BODY IDENTIFY output buffer size (63) is invalid");
        check(r#"{"output_buffer_timeout":24}"#, "E_BAD_BODY IDENTIFY output buffer timeout (24) is invalid");
        check(r#"{"sample_rate":100}"#, "E_BAD_BODY IDENTIFY sample rate (100) is invalid");
        check(r#"{"msg_timeout":900001}"#, "E_BAD_BODY IDENTIFY msg timeout (900001) is invalid");
        assert!(
            Identify::parse(br#"{"heartbeat_interval":-1,"output_buffer_size":-1}"#, &Ranges::default())
                .is_ok()
        );
    }

    #[test]
    fn the_extension_is_asked_for_and_offered() {
        let ask = Identify { bis: Some(Extension::ask()), ..Identify::default() };
        assert_eq!(Identify::parse(&ask.to_json(), &Ranges::default()).unwrap(), ask);
        let reply =
            IdentifyReply { bis: Some(Extension::offer(&[FEATURE_RELEASE])), ..IdentifyReply::default() };
        let text = String::from_utf8(reply.to_json()).unwrap();
        assert!(text.ends_with(r#""bis":{"version":1,"features":["release"]}}"#), "{text}");
        assert!(reply.offers(FEATURE_RELEASE));
        assert!(!IdentifyReply::default().offers(FEATURE_RELEASE));
        assert!(!String::from_utf8(IdentifyReply::default().to_json()).unwrap().contains("bis"));
    }
}
