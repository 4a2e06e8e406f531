//! The JSON of `PEEK` and `REPLAY` (Bis's extension), both requests and answers. The router's HTTP API answers in the same
//! format.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::MessageId;

/// Messages that wait in a channel, by their sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeekPage {
    /// The messages.
    pub messages: Vec<WaitingMessage>,
    /// Whether further messages follow the last one.
    pub more: bool,
}

/// A message that is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMessage {
    /// Its position in the topic.
    pub sequence: u64,
    /// Its id in this channel.
    #[serde(with = "id")]
    pub id: MessageId,
    /// When it was published, in nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// How often it was delivered.
    pub attempts: u32,
    /// Its state.
    pub state: WaitingState,
    /// What was published.
    #[serde(rename = "body_base64", with = "base64_text")]
    pub body: Bytes,
}

/// The state of a waiting message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitingState {
    /// Waits for a consumer, or for an earlier message with its key.
    Ready,
    /// Waits for its delay to pass.
    Deferred,
    /// In flight to a consumer.
    InFlight,
}

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// At this position in the topic.
    Sequence(u64),
    /// At the first message that was published at this time or later, in nanoseconds since 1970.
    Time(u64),
}

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Where the channel continues.
    pub from: u64,
    /// How many messages follow from there, including those in flight.
    pub messages: u64,
}

mod id {
    use super::*;

    pub(super) fn serialize<S: Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageId, D::Error> {
        let text = String::deserialize(deserializer)?;
        MessageId::from_slice(text.as_bytes()).ok_or_else(|| D::Error::custom("an id has 16 bytes"))
    }
}

mod base64_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_back() {
        let message = WaitingMessage {
            sequence: 10,
            id: MessageId::from_number(10),
            timestamp_ns: 7,
            attempts: 2,
            state: WaitingState::InFlight,
            body: Bytes::from_static(b"\0hi"),
        };
        let page = PeekPage { messages: vec![message], more: true };
        let text = serde_json::to_string(&page).unwrap();
        assert_eq!(
            text,
            r#"{"messages":[{"sequence":10,"id":"000000000000000a","timestamp_ns":7,"attempts":2,"state":"in-flight","body_base64":"AGhp"}],"more":true}"#
        );
        assert_eq!(serde_json::from_str::<PeekPage>(&text).unwrap(), page);
    }
}
