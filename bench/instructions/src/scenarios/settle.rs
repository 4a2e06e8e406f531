//! The in-process broker without the runtime: one delivery taken and acknowledged at a time.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use bis::drivers::in_process::InProcess;
use bis_broker::{Broker, Outgoing, SubscriptionSpec, TopicSpec, Topology};
use bis_core::{Envelope, EventId, SubscriptionName, TopicName};

pub fn run(count: usize) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(settle(count))
}

async fn settle(count: usize) -> Result<()> {
    let broker = InProcess::new();
    let topic = TopicName::parse("samples")?;
    let spec =
        SubscriptionSpec { topic: topic.clone(), name: SubscriptionName::parse("arrive")?, ordered: false };
    let topic = TopicSpec::new(topic);
    broker.ensure(&Topology { topics: vec![topic.clone()], subscriptions: vec![spec.clone()] }).await?;
    let mut consumer = broker.subscribe(&spec).await?;
    // A replay is taken although its event is known: to publish the same one again and again costs next to nothing.
    let mut envelope =
        Envelope::new(EventId::from("sample"), "/app", "sample", SystemTime::UNIX_EPOCH, "{}".into());
    envelope.replay = 1;
    let events = vec![Outgoing { envelope: Arc::new(envelope), delay: Duration::ZERO }; count];
    for published in broker.publish(&topic, events).await {
        published?;
    }
    for _ in 0..count {
        for delivery in consumer.receive(NonZeroUsize::MIN).await? {
            delivery.settle.ack().await?;
        }
    }
    Ok(())
}
