//! The router's HTTP API, for what drivers cannot do: statistics, removal, and raw messages. A real nsqd supports
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

/// How long a router may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a request to a router failed.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// Nothing listens there.
    #[error("there is no router at `{address}`")]
    Absent {
        /// The HTTP address.
        address: String,
    },
    /// The request could not be sent or answered.
    #[error("cannot talk to the router at `{address}`")]
    Broken {
        /// The HTTP address.
        address: String,
        /// The cause.
        source: HttpError,
    },
    /// The router refused.
    #[error("the router at `{address}` refused: `{message}`")]
    Refused {
        /// The HTTP address.
        address: String,
        /// Its message.
        message: String,
    },
    /// The broker does not support the operation.
    #[error(
        "the broker at `{address}` cannot {what}; Bis's router can (`bis router`), and nsqd has no way to"
    )]
    Unsupported {
        /// The HTTP address.
        address: String,
        /// The unsupported operation.
        what: &'static str,
    },
    /// The answer does not come from a router.
    #[error("`{address}` does not answer like a router; is it the HTTP address of one?")]
    Unreadable {
        /// The HTTP address.
        address: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The driver could not be created.
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
        /// The time that it had.
        limit: Duration,
    },
}

/// Talks to one router.
#[derive(Debug)]
pub(crate) struct Api {
    address: HttpAddress,
    namespace: Option<Namespace>,
}

/// The answer of `/stats`.
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

/// The answer of `/info`.
#[derive(Debug, Deserialize)]
struct Info {
    tcp_port: u16,
}

/// The outcome of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Stored,
    /// The message is larger than the router accepts.
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

    /// All topics and channels of the namespace with their counts. A name that had to be shortened for the broker appears as
    /// it is there.
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

    /// Publishes one raw message, and returns when the router has it.
    pub(crate) async fn publish(&self, topic: &str, body: &[u8]) -> Result<(), RouterError> {
        let path = path("/pub", &[("topic", &self.on_broker(topic))]);
        self.asked("POST", &path, body).await.map(drop).map_err(|error| self.error(error))
    }

    /// Like [`Api::publish`], with the ordering key of the event; a message that is too large is not an error.
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
            // A router that finds a message too large may close the connection before all of it was sent.
            Err(HttpError::Io(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                Ok(Published::TooLarge)
            }
            Err(error) => Err(self.error(error)),
        }
    }

    /// Removes a topic, or one channel of it, with all waiting messages. `false` when it does not exist.
    pub(crate) async fn delete(&self, topic: &str, channel: Option<&str>) -> Result<bool, RouterError> {
        let topic = self.on_broker(topic);
        let path = match channel {
            Some(channel) => path("/channel/delete", &[("topic", &topic), ("channel", channel)]),
            None => path("/topic/delete", &[("topic", &topic)]),
        };
        self.found(&path, "remove topics").await
    }

    /// Removes the message at one position of a channel for good. `false` when it is no longer there, or is being handled.
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

    /// Whether the target of the request existed. A broker that does not know the request cannot do `what`.
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

/// The message of a router's refusal.
fn message(text: &str) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_str::<Refusal>(text).map_or_else(|_| text.to_owned(), |refusal| refusal.message)
}

/// A path with its encoded arguments.
fn path(path: &str, arguments: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(arguments);
    format!("{path}?{}", query.finish())
}
