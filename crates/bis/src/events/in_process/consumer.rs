//! One consumer of a subscription: waits, and turns what the subscription hands out into deliveries.

use std::{
    future::Future,
    mem,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    time::Duration,
};

use bis_broker::{
    Answer, BoxFuture, ConsumeError, Consumer, Deliveries, Delivery, Extender, History, Settlement,
    SubscriptionSpec, Wait,
    channel::{ConsumerId, Handout},
};
use tokio::sync::{Notify, futures::OwnedNotified};

use super::{Shared, log::Log, topic::Topic};
use crate::instance::Purpose;

/// A consumer's place in a topic, from which deliveries are taken and settled.
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
    held: Arc<Held>,
    stopped: bool,
    /// How many deliveries are wanted.
    max: NonZeroUsize,
    /// Signalled when there may be something to receive.
    bell: Arc<Notify>,
    /// Whether it waits for the bell, as the subscription knows.
    is_waiting: bool,
    /// The next ring, where it is waited for. Kept from one wait to the next.
    ring: Pin<Box<OwnedNotified>>,
    /// When something is due that nobody rings for.
    due: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
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
        let bell = state.subscriptions[index].connect();
        drop(state);
        held.index = index;
        let ring = Box::pin(bell.clone().notified_owned());
        let (held, max) = (Arc::new(held), NonZeroUsize::MIN);
        Self { held, stopped: false, max, bell, is_waiting: false, ring, due: None }
    }

    /// What can be handed out now, and else when to look again.
    fn take(&self) -> Result<Deliveries, Option<Duration>> {
        let now = self.held.shared.now();
        let mut topic = self.held.topic();
        let Topic { log, subscriptions, .. } = &mut *topic;
        let deliver = |handout: &Handout| self.delivery(log, handout);
        let taken = subscriptions[self.held.index].take(log, self.held.id, self.max, now, deliver);
        taken.map_err(|deadline| deadline.map(|deadline| deadline.since(now)))
    }

    fn delivery(&self, log: &Log, handout: &Handout) -> Delivery {
        let stored = log.get(handout.sequence).expect("a channel hands out what the log holds");
        Delivery {
            envelope: stored.envelope.clone(),
            attempt: handout.attempt,
            history: History { generation: handout.generation, ..History::default() },
            lease: None,
            settle: Settlement::new(self.held.clone(), handout.sequence),
        }
    }

    /// There was nothing to receive.
    fn begin_waiting(&mut self, again_in: Option<Duration>) {
        if !self.is_waiting {
            self.is_waiting = true;
            self.held.topic().subscriptions[self.held.index].begin_waiting();
        }
        self.due = again_in.map(|wait| {
            let clock = self.held.shared.clock.clone();
            Box::pin(async move { clock.sleep(wait, Purpose::Event).await }) as _
        });
    }

    /// Whether it is time to look again.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.ring.as_mut().poll(context).is_ready() {
            self.ring.set(self.bell.clone().notified_owned());
            return Poll::Ready(());
        }
        self.due.as_mut().map_or(Poll::Pending, |due| due.as_mut().poll(context))
    }
}

impl Wait<Result<Deliveries, ConsumeError>> for InProcessConsumer {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Deliveries, ConsumeError>> {
        loop {
            if self.is_waiting {
                ready!(self.poll_wait(context));
            }
            if self.stopped || self.held.shared.is_closed() {
                return Poll::Ready(Err(ConsumeError::Closed));
            }
            match self.take() {
                Ok(deliveries) => return Poll::Ready(Ok(deliveries)),
                Err(again_in) => self.begin_waiting(again_in),
            }
        }
    }

    fn end(&mut self) {
        if mem::take(&mut self.is_waiting) {
            self.due = None;
            // A ring that nobody has heard is for another consumer.
            self.ring.set(self.bell.clone().notified_owned());
            self.held.topic().subscriptions[self.held.index].end_waiting();
        }
    }
}

impl Consumer for InProcessConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>> {
        self.max = max;
        Answer::kept(self)
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
