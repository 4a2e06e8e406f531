//! One delivery of an event to a consumer, and how it is settled.

use std::{fmt, sync::Arc, time::Duration};

use bis_core::Envelope;

use crate::{BoxFuture, LeaseToken, SettleError};

/// An event that the broker handed to this consumer.
pub struct Delivery {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// Which attempt at this event it is for this subscription, from 1, as the broker counts: deliveries that ended, and were
    /// not taken back uncounted, and this one.
    pub attempt: u32,
    /// What the broker knows of the event's past at this subscription.
    pub history: History,
    /// How long the broker leaves it here unless the lease is extended; `None` is until the consumer is gone.
    pub lease: Option<Duration>,
    /// How to settle it. Dropped unsettled, the event comes again, at the latest when the lease ends.
    pub settle: Box<dyn Settle>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("envelope", &self.envelope)
            .field("attempt", &self.attempt)
            .field("history", &self.history)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// What a broker knows of an event's past at a subscription, beside its attempts. A broker that knows nothing of it leaves it
/// empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// How often the subscription was moved back over the event: [`Broker::replay`](crate::Broker::replay). The same event under
    /// another generation is to be handled anew; under the same one it is a duplicate.
    pub generation: u32,
    /// How often the process that had the event died, or let its lease end, with this event as the one to blame.
    pub crashes: u32,
    /// Whether the process that had the event last died, so that this event may be the reason. It is best handled alone and
    /// soon: of such events a process is given one at a time.
    pub is_suspect: bool,
}

/// Settles one delivery. Each of `ack`, `retry`, `postpone` and `release` consumes it, so nothing is settled twice.
///
/// A method resolves once the driver has taken the decision on; whether the broker gets to know it, is not promised:
/// delivery is at least once. [`Broker::close`](crate::Broker::close) flushes what was decided.
pub trait Settle: Send {
    /// The event is handled: this subscription gets it no more.
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>>;

    /// The event comes again after `wait`, counted as one more attempt. A wait beyond the broker's longest is shortened
    /// to it.
    fn retry(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>>;

    /// The event comes again after `wait` for a reason that says nothing about it: not counted where the broker can take a
    /// delivery back uncounted.
    fn postpone(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>>;

    /// The handler never started: the event comes again, at once if it can, to whichever consumer. Not counted where the
    /// broker can take a delivery back uncounted.
    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>>;

    /// What the consumer's [`Extender`](crate::Extender) needs to start the lease anew, because the handler still runs; `None`
    /// when there is no lease, or the delivery is no longer held here.
    fn lease(&self) -> Option<LeaseToken>;
}
