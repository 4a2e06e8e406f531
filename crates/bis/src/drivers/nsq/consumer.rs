//! A subscription's share on NSQ: messages in, deliveries out.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bis_broker::{BoxFuture, ConsumeError, Consumer, Delivery, SubscriptionSpec};
use bis_core::{Envelope, EventId};
use bis_nsq::client;

use super::delivery::NsqSettle;

/// One connection that consumes one channel.
pub(super) struct NsqConsumer {
    client: client::Consumer,
    subscription: SubscriptionSpec,
}

impl NsqConsumer {
    pub(super) fn new(client: client::Consumer, subscription: SubscriptionSpec) -> Self {
        Self { client, subscription }
    }

    fn delivery(&self, message: client::Delivery) -> Delivery {
        Delivery {
            envelope: Arc::new(envelope(&message)),
            attempt: u32::from(message.attempts()),
            lease: Some(message.lease()),
            settle: Box::new(NsqSettle::new(message)),
        }
    }
}

/// The event in a message; what is no CloudEvents object is a foreign client's, and the broker's id and time are
/// its own.
fn envelope(message: &client::Delivery) -> Envelope {
    Envelope::from_json(message.body().clone()).unwrap_or_else(|_| {
        let since_1970 = Duration::from_nanos(u64::try_from(message.timestamp_ns()).unwrap_or(0));
        let id = EventId::from(message.id().to_string().as_str());
        Envelope::foreign(id, SystemTime::UNIX_EPOCH + since_1970, message.body().clone())
    })
}

pub(super) fn consume_error(error: client::ConsumeError) -> ConsumeError {
    match error {
        client::ConsumeError::Refused(refusal) => ConsumeError::Refused(refusal.to_string()),
        client::ConsumeError::Closed => ConsumeError::Closed,
    }
}

impl Consumer for NsqConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> BoxFuture<'_, Result<Vec<Delivery>, ConsumeError>> {
        Box::pin(async move {
            let messages = self.client.receive(max.get()).await.map_err(consume_error)?;
            Ok(messages.into_iter().map(|message| self.delivery(message)).collect())
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tracing::debug!(topic = %self.subscription.topic, subscription = %self.subscription.name, "asked the broker for no more");
            self.client.stop().await;
        })
    }
}
