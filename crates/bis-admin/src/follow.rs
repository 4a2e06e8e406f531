//! Following a topic: its events from now on, through a temporary subscription that ends with the follower. It takes no
//! events away from other subscribers, and refuses where it would.

use std::time::{Duration, SystemTime};

use bis_broker::ConsumeError;
use bis_core::Envelope;
use bis_drivers::nsq::envelope;
use bis_nsq::{
    Name,
    client::{self, Consumer, ConsumerHandle},
};

use crate::{admin::Admin, topics::TopicError};

/// How many events the router may send ahead.
const AHEAD: usize = 100;

/// What to follow.
#[derive(Debug, Clone)]
pub struct Follow<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The follower's name on the broker; a valid NSQ name.
    pub name: &'a str,
}

/// A topic's events as they arrive.
#[derive(Debug)]
pub struct Following {
    consumer: Consumer,
    handle: ConsumerHandle,
}

impl Admin {
    /// Starts following a topic; events published after this has returned are seen.
    ///
    /// # Errors
    /// When the topic does not exist, when it keeps events for its first subscription, or when the broker refuses.
    pub async fn follow(&self, follow: Follow<'_>) -> Result<Following, TopicError> {
        // Subscribing to a topic that does not exist would create it.
        let topic = self.topic(follow.topic).await?;
        if topic.subscriptions.is_empty() && topic.waiting > 0 {
            return Err(TopicError::WouldTake { topic: topic.name, events: topic.waiting });
        }
        let options = self.options().await?;
        let address = options.servers.first().map_or("", String::as_str);
        let client = client::Options { client_id: follow.name.to_owned(), ..options.client_for(address) };
        let channel = format!("{}-{}#ephemeral", follow.name, std::process::id());
        let mut consumer =
            Consumer::start(client, Name::new(self.api.on_broker(follow.topic))?, Name::new(channel)?);
        let handle = consumer.handle();
        consumer.subscribed().await.map_err(refused)?;
        Ok(Following { consumer, handle })
    }
}

impl Following {
    /// The next events: at least one, and at most `limit`.
    ///
    /// # Errors
    /// When the broker refuses to continue.
    pub async fn next(&mut self, limit: u64) -> Result<Vec<Envelope>, TopicError> {
        let limit = usize::try_from(limit).unwrap_or(AHEAD).clamp(1, AHEAD);
        let deliveries = self.consumer.receive(limit).await.map_err(refused)?;
        Ok(deliveries
            .into_iter()
            .map(|delivery| {
                let nanos = u64::try_from(delivery.timestamp_ns()).unwrap_or(0);
                let published = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
                let event = envelope(delivery.body(), delivery.id(), published);
                // When the router is gone, the subscription is gone too, and there is nothing left to finish.
                let _ = delivery.finish();
                event
            })
            .collect())
    }

    /// Ends the subscription.
    pub async fn close(self) {
        self.handle.close().await;
    }
}

fn refused(error: client::ConsumeError) -> TopicError {
    TopicError::Consume(match error {
        client::ConsumeError::Refused(refusal) => ConsumeError::Refused(refusal.to_string()),
        client::ConsumeError::Closed => ConsumeError::Closed,
    })
}
