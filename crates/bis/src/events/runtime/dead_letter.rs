//! Keeps a dead letter: one more event on the reserved topic, or several when its event is large. It never acks anything.

use std::{sync::Arc, time::Duration};

use bis_broker::{Delivery, Outgoing, PublishError, TopicSpec};
use bis_core::{DeadLetter, DeadReason, Envelope};

use super::Subscription;
use crate::{
    events::{bus::Bus, publish},
    instance::{Instance, Scope},
};

/// How large messages may be, in bytes, once the broker has refused larger ones: not every broker states its limit.
const SMALL_MESSAGE: usize = 16 * 1024;

/// The letter of a delivery.
pub(super) fn of(
    instance: &Instance,
    subscription: &Subscription,
    delivery: &Delivery,
    reason: DeadReason,
    error: &str,
) -> DeadLetter {
    let (topic, name) = (subscription.topic.clone(), subscription.name.clone());
    let (event, attempts, at) = ((*delivery.envelope).clone(), delivery.attempt, instance.clock.now());
    let letter = DeadLetter::new(topic, name, event, reason, error, attempts, at);
    letter.of_generation(delivery.history.generation)
}

/// Publishes a letter. `Ok` means that the broker has it.
pub(super) async fn keep(
    instance: &Arc<Instance>,
    subscription: &Subscription,
    letter: DeadLetter,
) -> Result<(), PublishError> {
    let source = instance.source_of(Some(subscription.service));
    let trace = Scope::with(|scope| scope.map(Scope::trace_context));
    let messages = |limit| letter.to_messages(&source, trace.clone(), limit);
    let whole = messages(Bus::of(instance).capabilities().max_event_bytes);
    let is_small = whole.iter().all(|message| message.bytes_over(SMALL_MESSAGE).is_none());
    match publish_all(instance, whole).await {
        Err(PublishError::Refused(_) | PublishError::TooLarge { .. }) if !is_small => {
            publish_all(instance, messages(SMALL_MESSAGE)).await
        }
        result => result,
    }
}

/// `Ok` when the broker has every one.
async fn publish_all(instance: &Arc<Instance>, messages: Vec<Envelope>) -> Result<(), PublishError> {
    let count = messages.len();
    let outgoing = |message| Outgoing { envelope: Arc::new(message), delay: Duration::ZERO };
    let results =
        publish::send(instance, &TopicSpec::DEAD, messages.into_iter().map(outgoing).collect()).await;
    if results.len() < count {
        return Err(PublishError::Refused("the driver gave no answer".into()));
    }
    results.into_iter().try_for_each(|result| result.map(drop))
}
