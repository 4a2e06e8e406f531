//! Keeps a dead letter: one more event on the reserved topic. It never acks anything.

use std::{sync::Arc, time::Duration};

use bis_broker::{Outgoing, PublishError};
use bis_core::{DeadLetter, DeadReason, Envelope, EventId, TopicName};

use super::Subscription;
use crate::{instance::Instance, publish, scope::Scope};

/// The event type of dead letters.
pub(crate) const EVENT_TYPE: &str = "bis.dead-letter";

/// Publishes the letter of a delivery. `Ok` means that the broker has it.
pub(super) async fn keep(
    instance: &Arc<Instance>,
    subscription: &Subscription,
    event: &Envelope,
    attempts: u32,
    reason: DeadReason,
    error: &str,
) -> Result<(), PublishError> {
    let letter = DeadLetter {
        id: DeadLetter::id_of(event, &subscription.name),
        topic: subscription.topic.clone(),
        subscription: subscription.name.clone(),
        reason,
        error: error.to_owned(),
        attempts,
        at: instance.clock.now(),
        event: event.clone(),
    };
    let data = serde_json::to_vec(&letter).expect("a dead letter has text keys and no failing value");
    let mut envelope = Envelope::new(
        EventId::from(letter.id.as_str()),
        instance.source_of(Some(subscription.service)),
        EVENT_TYPE,
        letter.at,
        data.into(),
    );
    envelope.trace = Scope::with(|scope| scope.map(Scope::trace_context));
    envelope.cause = Some(event.id.clone());
    let outgoing = Outgoing { envelope: Arc::new(envelope), delay: Duration::ZERO };
    let results = publish::send(instance, &TopicName::DEAD, vec![outgoing]).await;
    let unanswered = || Err(PublishError::Refused("the driver gave no answer".into()));
    results.into_iter().next().unwrap_or_else(unanswered)
}
