//! The router's HTTP API, for what drivers cannot do: statistics, removal, and messages as they are. A real nsqd answers
//! statistics, removal of topics and channels, and publishes.

use std::{io::ErrorKind, time::Duration};

use bis_broker::EnsureError;
use bis_core::Namespace;
use bis_drivers::{OpenError, nsq::topic_on_nsq};
use bis_nsq::{
    MessageId,
    client::{HttpAddress, HttpError},
};
use serde::{Deserialize, de::DeserializeOwned};

/// A router answers within this time or not at all.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a router did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// Nobody listens there.
    #[error("there is no router at `{address}`")]
    Absent {
        /// The HTTP address.
        address: String,
    },
    /// The exchange failed.
    #[error("cannot talk to the router at `{address}`")]
    Broken {
        /// The HTTP address.
        address: String,
        /// How.
        source: HttpError,
    },
    /// It says that it will not.
    #[error("the router at `{address}` refused: `{message}`")]
    Refused {
        /// The HTTP address.
        address: String,
        /// What it says.
        message: String,
    },
    /// It is a broker that has no means to.
    #[error(
        "the broker at `{address}` cannot {what}; Bis's router can (`bis router`), and nsqd has no way to"
    )]
    Unsupported {
        /// The HTTP address.
        address: String,
        /// What it cannot do.
        what: &'static str,
    },
    /// The answer is not a router's.
    #[error("`{address}` does not answer as a router does; is it the HTTP address of one?")]
    Unreadable {
        /// The HTTP address.
        address: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The driver cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The driver cannot use the broker.
    #[error(transparent)]
    Unusable(#[from] EnsureError),
    /// The router answers over HTTP and not on its TCP port.
    #[error(
        "the router at `{address}` answers over HTTP, and not over TCP within {limit:?}; is `--router` its TCP address?"
    )]
    Late {
        /// The HTTP address.
        address: String,
        /// How long it had.
        limit: Duration,
    },
}

/// Talks to one router.
#[derive(Debug)]
pub(crate) struct Api {
    address: HttpAddress,
    namespace: Option<Namespace>,
}

/// What `/stats` says.
#[derive(Debug, Deserialize)]
struct Stats {
    topics: Vec<TopicStats>,
}

/// A topic in `/stats`.
#[derive(Debug, Deserialize)]
pub(crate) struct TopicStats {
    pub(crate) topic_name: String,
    #[serde(default)]
    pub(crate) depth: u64,
    #[serde(default)]
    pub(crate) message_count: u64,
    #[serde(default)]
    pub(crate) paused: bool,
    #[serde(default)]
    pub(crate) channels: Vec<ChannelStats>,
}

/// A channel in `/stats`.
#[derive(Debug, Deserialize)]
pub(crate) struct ChannelStats {
    pub(crate) channel_name: String,
    #[serde(default)]
    pub(crate) depth: u64,
    #[serde(default)]
    pub(crate) in_flight_count: u64,
    #[serde(default)]
    pub(crate) deferred_count: u64,
    #[serde(default)]
    pub(crate) requeue_count: u64,
    #[serde(default)]
    pub(crate) client_count: u64,
    #[serde(default)]
    pub(crate) paused: bool,
}

/// What `/info` says.
#[derive(Debug, Deserialize)]
struct Info {
    tcp_port: u16,
}

/// The outcome of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Stored,
    /// The router takes none of this size.
    TooLarge,
}

impl Api {
    pub(crate) fn new(address: HttpAddress, namespace: Option<Namespace>) -> Self {
        Self { address, namespace }
    }

    pub(crate) fn address(&self) -> &HttpAddress {
        &self.address
    }

    /// The name that a topic has on the broker.
    pub(crate) fn on_broker(&self, topic: &str) -> String {
        match &self.namespace {
            None => topic.to_owned(),
            namespace => topic_on_nsq(namespace.as_ref(), topic),
        }
    }

    /// All topics and channels of the namespace with their counts. A name that had to be cut to fit on the broker is as it is
    /// there.
    pub(crate) async fn stats(&self) -> Result<Vec<TopicStats>, RouterError> {
        let Stats { mut topics } = self.get("/stats?format=json&include_clients=false").await?;
        if let Some(namespace) = &self.namespace {
            let prefix = format!("{namespace}_");
            topics.retain(|topic| topic.topic_name.starts_with(&prefix));
            for TopicStats { topic_name, .. } in &mut topics {
                let name = topic_name[prefix.len()..].to_owned();
                if self.on_broker(&name) == *topic_name {
                    *topic_name = name;
                }
            }
        }
        Ok(topics)
    }

    /// The port of the TCP listener.
    pub(crate) async fn tcp_port(&self) -> Result<u16, RouterError> {
        Ok(self.get::<Info>("/info").await?.tcp_port)
    }

    /// Publishes one message as it is, and returns when the router has it.
    pub(crate) async fn publish(&self, topic: &str, body: &[u8]) -> Result<(), RouterError> {
        let path = path("/pub", &[("topic", &self.on_broker(topic))]);
        self.asked("POST", &path, body).await.map(drop).map_err(|error| self.error(error))
    }

    /// As [`Api::publish`], with the ordering key of the event; that the message is too large is not an error.
    pub(crate) async fn try_publish(
        &self,
        topic: &str,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<Published, RouterError> {
        let key = key.map(|key| ("key", key));
        let topic = self.on_broker(topic);
        let arguments: Vec<_> = [("topic", topic.as_str())].into_iter().chain(key).collect();
        match self.asked("POST", &path("/pub", &arguments), body).await {
            Ok(_) => Ok(Published::Stored),
            Err(HttpError::Status { status: 413, .. }) => Ok(Published::TooLarge),
            // A router that has seen that a message is too large may close before all of it was sent.
            Err(HttpError::Io(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                Ok(Published::TooLarge)
            }
            Err(error) => Err(self.error(error)),
        }
    }

    /// Removes a topic, or one channel of it, with what waits there. `false` when it is not there.
    pub(crate) async fn delete(&self, topic: &str, channel: Option<&str>) -> Result<bool, RouterError> {
        let topic = self.on_broker(topic);
        let path = match channel {
            Some(channel) => path("/channel/delete", &[("topic", &topic), ("channel", channel)]),
            None => path("/topic/delete", &[("topic", &topic)]),
        };
        self.found(&path, "remove topics").await
    }

    /// Takes the message in one place of a channel out of it for good. `false` when it is not there any more, or someone is
    /// handling it.
    pub(crate) async fn finish(&self, topic: &str, channel: &str, place: u64) -> Result<bool, RouterError> {
        let id = MessageId::from_number(place).to_string();
        let path =
            path("/channel/finish", &[("topic", &self.on_broker(topic)), ("channel", channel), ("id", &id)]);
        match self.found(&path, "remove single events").await {
            Err(RouterError::Refused { message, .. }) if message == "MESSAGE_IN_FLIGHT" => Ok(false),
            other => other,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RouterError> {
        let answer = self.asked("GET", path, b"").await.map_err(|error| self.error(error))?;
        let unreadable = |source| RouterError::Unreadable { address: self.address.to_string(), source };
        serde_json::from_slice(&answer).map_err(unreadable)
    }

    /// Whether what the request is about was there. A broker that knows no such request cannot do `what`.
    async fn found(&self, path: &str, what: &'static str) -> Result<bool, RouterError> {
        let error = match self.asked("POST", path, b"").await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        if let HttpError::Status { status: 404, text } = &error {
            return match &*message(text) {
                "TOPIC_NOT_FOUND" | "CHANNEL_NOT_FOUND" | "MESSAGE_NOT_FOUND" => Ok(false),
                _ => Err(RouterError::Unsupported { address: self.address.to_string(), what }),
            };
        }
        Err(self.error(error))
    }

    async fn asked(&self, method: &'static str, path: &str, body: &[u8]) -> Result<Vec<u8>, HttpError> {
        self.address.request(method, path, body, LIMIT).await
    }

    fn error(&self, error: HttpError) -> RouterError {
        let address = self.address.to_string();
        match error {
            HttpError::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                RouterError::Absent { address }
            }
            HttpError::Status { text, .. } => RouterError::Refused { address, message: message(&text) },
            source => RouterError::Broken { address, source },
        }
    }
}

/// What a router says when it refuses.
fn message(text: &str) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_str::<Refusal>(text).map_or_else(|_| text.to_owned(), |refusal| refusal.message)
}

/// A path with its arguments, encoded.
fn path(path: &str, arguments: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(arguments);
    format!("{path}?{}", query.finish())
}
