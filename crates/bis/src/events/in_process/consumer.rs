//! One consumer of a subscription: waits, and turns what the subscription hands out into deliveries.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bis_broker::{
    BoxFuture, ConsumeError, Consumer, Delivery, Extender, History, SubscriptionSpec,
    channel::{ConsumerId, Handout},
};
use tokio::sync::Notify;

use super::{Shared, log::Log, settle::InProcessSettle, topic::Topic};
use crate::instance::Purpose;

/// A consumer's place in a topic, from which deliveries are taken and settled.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) shared: Arc<Shared>,
    topic: Arc<Mutex<Topic>>,
    /// The subscription within the topic.
    pub(super) index: usize,
    pub(super) id: ConsumerId,
}

impl Held {
    pub(super) fn topic(&self) -> MutexGuard<'_, Topic> {
        super::lock(&self.topic)
    }
}

pub(super) struct InProcessConsumer {
    held: Held,
    arrived: Arc<Notify>,
    stopped: bool,
}

impl InProcessConsumer {
    /// A consumer of the subscription, which is made if it is not there.
    pub(super) fn new(
        shared: Arc<Shared>,
        topic: Arc<Mutex<Topic>>,
        spec: &SubscriptionSpec,
        id: ConsumerId,
    ) -> Self {
        let mut held = Held { shared, topic, index: 0, id };
        let mut state = held.topic();
        let index = state.ensure(spec);
        let arrived = state.subscriptions[index].connect();
        drop(state);
        held.index = index;
        Self { held, arrived, stopped: false }
    }

    /// What can be handed out now, and else when to look again.
    fn take(&self, max: NonZeroUsize) -> Result<Vec<Delivery>, Option<Duration>> {
        let now = self.held.shared.now();
        let mut topic = self.held.topic();
        let Topic { log, subscriptions, .. } = &mut *topic;
        let deliver = |handout: &Handout| self.delivery(log, handout);
        let taken = subscriptions[self.held.index].take(log, self.held.id, max, now, deliver);
        taken.map_err(|deadline| deadline.map(|deadline| deadline.since(now)))
    }

    fn delivery(&self, log: &Log, handout: &Handout) -> Delivery {
        let stored = log.get(handout.sequence).expect("a channel hands out what the log holds");
        Delivery {
            envelope: stored.envelope.clone(),
            attempt: handout.attempt,
            history: History { generation: handout.generation, ..History::default() },
            lease: None,
            settle: Box::new(InProcessSettle::new(self.held.clone(), handout.sequence)),
        }
    }
}

impl Consumer for InProcessConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> BoxFuture<'_, Result<Vec<Delivery>, ConsumeError>> {
        Box::pin(async move {
            loop {
                if self.stopped || self.held.shared.is_closed() {
                    return Err(ConsumeError::Closed);
                }
                let again_in = match self.take(max) {
                    Ok(deliveries) => return Ok(deliveries),
                    Err(again_in) => again_in,
                };
                let _waiting = Waiting::begin(&self.held);
                match again_in {
                    None => self.arrived.notified().await,
                    Some(wait) => tokio::select! {
                        () = self.arrived.notified() => {}
                        () = self.held.shared.clock.sleep(wait, Purpose::Event) => {}
                    },
                }
            }
        })
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        None
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.stopped = true;
        Box::pin(std::future::ready(()))
    }
}

impl Drop for InProcessConsumer {
    fn drop(&mut self) {
        self.held.topic().subscriptions[self.held.index].disconnect(self.held.id);
    }
}

/// A consumer that waits for something to receive, until this is dropped.
struct Waiting<'h>(&'h Held);

impl<'h> Waiting<'h> {
    fn begin(held: &'h Held) -> Self {
        held.topic().subscriptions[held.index].begin_waiting();
        Self(held)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.topic().subscriptions[self.0.index].end_waiting();
    }
}
