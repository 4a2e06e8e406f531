//! What a broker does for the runtime.

use std::{future::ready, num::NonZeroUsize, sync::Arc, time::Duration};

use bis_core::{Capabilities, Envelope, TopicName};

use crate::{
    Answer, BoxFuture, ConsumeError, Deliveries, EnsureError, Extender, InquiryError, Page, PublishError,
    Receipt, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Topology,
};

/// An event on its way to a broker.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// How long the broker keeps it back; zero means no delay.
    pub delay: Duration,
}

/// Carries events from publishers to subscriptions, each event at least once to each subscription of its topic.
///
/// Every method may be called from many tasks at once. A driver reconnects by itself: an error of one call says nothing
/// about the next.
pub trait Broker: Send + Sync + 'static {
    /// What this broker can do. What it cannot do, it refuses with an error that says so.
    fn capabilities(&self) -> &Capabilities;

    /// Makes sure that every topic and subscription of `topology` exists, so that an event published before its
    /// subscription's first consumer connects is kept for it. Idempotent; removes nothing.
    ///
    /// Waits while the broker cannot be reached, and logs that it does: dropping the future gives up.
    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>>;

    /// Hands events to the broker. Resolves with one result per event, in their order, once the broker has answered for
    /// each; `Ok` means that the broker has the event as durably as its capabilities say. However many events there are, a
    /// driver hands over no more at once than its broker takes.
    ///
    /// The topic need not have been ensured: an app that only publishes on a topic knows no subscription to it. A driver
    /// ensures such a topic before its first event.
    ///
    /// Events of one call, and calls awaited one after the other, enter the topic in that order. Dropping the future
    /// leaves open which of the events the broker has. An event that failed with [`PublishError::Unanswered`] may be there
    /// too.
    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>>;

    /// Publishes one event, as [`Broker::publish`] does, where the broker can answer without being waited for; else gives the
    /// event back. It spares the futures and lists of the general way.
    fn publish_at_once(
        &self,
        _topic: &TopicSpec,
        event: Outgoing,
    ) -> Result<Result<Receipt, PublishError>, Outgoing> {
        Err(event)
    }

    /// Starts to consume `subscription` in this process. Several consumers of one subscription share its events.
    fn subscribe<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>>;

    /// Starts to listen to a topic: the consumer returns the events that are published on it after this has resolved, by
    /// whichever process, each usually once. It is no subscription: nothing is kept for it while it is not connected, and
    /// nothing is left of it at the broker when it is dropped or its process dies, however it dies.
    ///
    /// What is returned is to be acked at once. In which order events come, and whether one that is not acked comes again, is
    /// open. Every call makes a listener of its own, which gets every event.
    ///
    /// Where a topic without subscriptions keeps what is published for the first one that comes, a listener may get what is a
    /// few seconds old, and older events are gone then.
    ///
    /// Waits while the broker cannot be reached. A listener that loses its connection goes on by itself, without what was
    /// published meanwhile.
    fn listen<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>>;

    /// Shows up to `limit` events that the subscription has not finished, those behind the place `after` if there is one,
    /// and takes none. A page may hold fewer although more follow. For brokers with the capability `peek`.
    fn peek<'a>(
        &'a self,
        _subscription: &'a SubscriptionSpec,
        _after: Option<u64>,
        _limit: NonZeroUsize,
    ) -> BoxFuture<'a, Result<Page, InquiryError>> {
        Box::pin(ready(Err(InquiryError::NO_PEEK)))
    }

    /// Moves the subscription: every event from a place on that the broker still has comes (again), counted from its first
    /// attempt; what is in flight stays where it is and is not given out a second time. Resolves once that is as durable as
    /// a publish. For brokers with the capability `replay`.
    fn replay<'a>(
        &'a self,
        _subscription: &'a SubscriptionSpec,
        _from: ReplayFrom,
    ) -> BoxFuture<'a, Result<Replayed, InquiryError>> {
        Box::pin(ready(Err(InquiryError::NO_REPLAY)))
    }

    /// Flushes what was settled and lets go of every connection. Afterwards every call fails with `Closed`.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// One process's share of a subscription.
///
/// Dropping a consumer gives back what it received and did not settle, as soon as the broker notices.
pub trait Consumer: Send {
    /// Waits for deliveries and returns at least one and at most `max`, which is how many handlers are free: a driver asks
    /// the broker for no more than that, beyond what it returned before and what is not settled yet.
    ///
    /// Cancel safe: dropping the future loses no delivery; the next call returns it. While the broker cannot be reached
    /// this waits and reconnects. An error is final: the consumer can no longer be used.
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>>;

    /// What extends the leases of the deliveries that this consumer returned; `None` where deliveries have none.
    fn extender(&self) -> Option<Arc<dyn Extender>>;

    /// Asks the broker for no more, and releases what arrived in the meantime and was not returned by `receive` (uncounted
    /// where the broker can). Deliveries that were returned can still be settled.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}
