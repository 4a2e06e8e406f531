//! The loop of one subscription: receives what there are free handlers for, and starts a handler for each. It decides
//! nothing about outcomes.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bis_broker::{ConsumeError, Consumer, Delivery, Extender};
use bis_core::EventId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    Subscription, attempt, batch,
    leases::{Leases, Received, Unstarted},
    memory::Memory,
};
use crate::{
    events::{bus::Bus, entry::ErasedHandler, metrics::Subscribed},
    instance::Instance,
};

/// What a handler's run needs, shared by all runs of a subscription.
pub(super) struct Shared {
    pub(super) instance: Arc<Instance>,
    pub(super) subscription: Arc<Subscription>,
    pub(super) leases: Arc<Leases>,
    /// What extends leases at the broker.
    extender: Option<Arc<dyn Extender>>,
    pub(super) memory: Memory,
    pub(super) metrics: Arc<Subscribed>,
    /// How many events were meant for another subscription.
    passed_over: AtomicU64,
}

impl Shared {
    /// Takes a delivery on. Whether it is to be handled alone.
    pub(super) fn hold(&self, mut delivery: Delivery) -> (Received, bool) {
        let is_apart = self.memory.recall(&mut delivery) || delivery.history.is_suspect;
        (self.leases.hold(delivery, self.extender.as_ref()), is_apart)
    }

    /// A handler begins with it, unless it is not held here any more.
    pub(super) fn start(&self, received: Received) -> Option<Delivery> {
        match received.start() {
            Ok(delivery) => {
                self.measure_lag(&delivery);
                Some(delivery)
            }
            Err(Unstarted::GivenBack) => None,
            Err(Unstarted::Lost(event)) => {
                self.uncounted(&event);
                None
            }
        }
    }

    /// How long the event waited for its first attempt. After a replay this would say when the replay was.
    fn measure_lag(&self, delivery: &Delivery) {
        if delivery.attempt == 1 && delivery.history.generation == 0 {
            let age = self.instance.clock.now().duration_since(delivery.envelope.time);
            // An event of the future is one of a machine whose clock goes ahead.
            self.metrics.met(age.unwrap_or_default());
        }
    }

    /// The event was sent again for another subscription. Counted, and logged when that begins and at the end.
    pub(super) fn pass_over(&self, event: &EventId) {
        let Subscription { topic, name, .. } = &*self.subscription;
        if self.passed_over.fetch_add(1, Ordering::Relaxed) == 0 {
            let event = event.shown();
            tracing::info!(%topic, subscription = %name, %event, "an event is passed over that was sent again for another subscription");
        }
    }

    /// The delivery of this event was no attempt: a broker that counts it all the same is corrected.
    pub(super) fn uncounted(&self, event: &EventId) {
        if !Bus::of(&self.instance).capabilities().uncounted_release {
            self.memory.forgive(event);
        }
    }
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    concurrency: u32,
}

impl Worker {
    pub(super) fn new(
        instance: Arc<Instance>,
        subscription: Arc<Subscription>,
        leases: Arc<Leases>,
        extender: Option<Arc<dyn Extender>>,
    ) -> Self {
        // A handler that takes batches fills a slot with each batch.
        let concurrency = u32::try_from(subscription.concurrency.clamp(1, 1 << 20)).unwrap_or(1);
        let slots = Arc::new(Semaphore::new(concurrency as usize));
        let metrics = Bus::of(&instance).metrics().subscription(&subscription.topic, &subscription.name);
        Self {
            shared: Arc::new(Shared {
                instance,
                subscription,
                leases,
                extender,
                memory: Memory::default(),
                metrics,
                passed_over: AtomicU64::new(0),
            }),
            slots,
            concurrency,
        }
    }

    /// Delivers until it is told to stop or the consumer ends; then waits for the handlers that run.
    pub(super) async fn run(self, mut consumer: Box<dyn Consumer>, mut stopped: watch::Receiver<bool>) {
        let ended = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            error = self.deliver(&mut *consumer) => Some(error),
        };
        if let Some(error) = ended
            && error != ConsumeError::Closed
        {
            let Subscription { topic, name, .. } = &*self.shared.subscription;
            tracing::error!(%topic, subscription = %name, %error, "the subscription gets no more events");
        }
        consumer.stop().await;
        // Every run holds a permit until it has settled.
        let drained = self.slots.acquire_many(self.concurrency).await;
        drop(drained);
        let passed_over = self.shared.passed_over.load(Ordering::Relaxed);
        if passed_over > 0 {
            let Subscription { topic, name, .. } = &*self.shared.subscription;
            tracing::info!(%topic, subscription = %name, passed_over, "events were meant for another subscription");
        }
    }

    async fn deliver(&self, consumer: &mut dyn Consumer) -> ConsumeError {
        let error = match &self.shared.subscription.handler {
            ErasedHandler::One(_) => self.deliver_each(consumer).await,
            ErasedHandler::Batch { max, wait, .. } => {
                let size =
                    batch::Size { max: NonZeroUsize::new(*max).unwrap_or(NonZeroUsize::MIN), wait: *wait };
                self.deliver_batches(consumer, size).await
            }
        };
        error.err().unwrap_or(ConsumeError::Closed)
    }

    async fn deliver_each(&self, consumer: &mut dyn Consumer) -> Result<(), ConsumeError> {
        loop {
            let mut permit = self.free_slot().await?;
            let more = self.slots.available_permits();
            if let Ok(more) = self.slots.clone().try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
                permit.merge(more);
            }
            let free = NonZeroUsize::new(permit.num_permits()).unwrap_or(NonZeroUsize::MIN);
            for delivery in consumer.receive(free).await? {
                let slot = permit.split(1);
                let (received, _) = self.shared.hold(delivery);
                tokio::spawn(attempt::run(self.shared.clone(), received, slot));
            }
        }
    }

    async fn deliver_batches(
        &self,
        consumer: &mut dyn Consumer,
        size: batch::Size,
    ) -> Result<(), ConsumeError> {
        loop {
            let mut slot = Some(self.free_slot().await?);
            let batch::Collected { together, alone } = batch::collect(consumer, size, &self.shared).await?;
            let alone = alone.into_iter().map(|one| vec![one]);
            for received in [together].into_iter().filter(|batch| !batch.is_empty()).chain(alone) {
                let slot = match slot.take() {
                    Some(slot) => slot,
                    None => self.free_slot().await?,
                };
                tokio::spawn(batch::run(self.shared.clone(), received, slot));
            }
        }
    }

    async fn free_slot(&self) -> Result<OwnedSemaphorePermit, ConsumeError> {
        // Nobody closes the semaphore.
        self.slots.clone().acquire_owned().await.map_err(|_| ConsumeError::Closed)
    }
}
