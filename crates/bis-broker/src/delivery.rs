//! One delivery of an event to a consumer, and how it is settled.

use std::{fmt, sync::Arc, time::Duration};

use bis_core::Envelope;
use smallvec::SmallVec;

use crate::{Answer, LeaseToken, SettleError};

/// An event that the broker handed to this consumer.
pub struct Delivery {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// Which attempt at this event it is for this subscription, from 1, as the broker counts: deliveries that ended, and were
    /// not taken back uncounted, and this one.
    pub attempt: u32,
    /// What the broker knows about the event's past at this subscription.
    pub history: History,
    /// How long the broker leaves it here unless the lease is extended; `None` is until the consumer is gone.
    pub lease: Option<Duration>,
    /// How to settle it. Dropped unsettled, the event comes again, at the latest when the lease ends.
    pub settle: Settlement,
}

/// What a consumer received at once. One delivery, as there often is, takes no allocation.
pub type Deliveries = SmallVec<[Delivery; 1]>;

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

/// What a broker knows about an event's past at a subscription, beside its attempts. A broker that knows nothing leaves it
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

/// The right to settle one delivery. Each of `ack`, `retry`, `postpone` and `release` consumes it, so nothing is settled twice.
///
/// A method has the driver decide at once, and resolves once the driver has taken the decision on; it is not promised
/// that the broker learns of it: delivery is at least once. [`Broker::close`](crate::Broker::close) flushes what was decided.
pub struct Settlement {
    /// `None` once it is settled, and where nothing is kept of a delivery.
    driver: Option<Arc<dyn Settle>>,
    delivery: u64,
}

impl Settlement {
    /// Of the delivery that `driver` knows by this number.
    pub fn new(driver: Arc<dyn Settle>, delivery: u64) -> Self {
        Self { driver: Some(driver), delivery }
    }

    /// Of a delivery of which nobody keeps anything: whatever is decided is done.
    pub fn of_nothing() -> Self {
        Self { driver: None, delivery: 0 }
    }

    /// The event is handled: this subscription does not get it again.
    pub fn ack(self) -> Settled {
        self.decide(Verdict::Ack)
    }

    /// The event comes again after `wait`, counted as one more attempt. A wait beyond the broker's longest is shortened
    /// to it.
    pub fn retry(self, wait: Duration) -> Settled {
        self.decide(Verdict::Retry(wait))
    }

    /// The event comes again after `wait` for a reason that says nothing about it: not counted where the broker can take a
    /// delivery back uncounted.
    pub fn postpone(self, wait: Duration) -> Settled {
        self.decide(Verdict::Postpone(wait))
    }

    /// The handler never started: the event comes again, at once if it can, to whichever consumer. Not counted where the
    /// broker can take a delivery back uncounted.
    pub fn release(self) -> Settled {
        self.decide(Verdict::Release)
    }

    /// Any of the four.
    pub fn decide(mut self, verdict: Verdict) -> Settled {
        match self.driver.take() {
            Some(driver) => driver.settle(self.delivery, verdict),
            None => Answer::ready(Ok(())),
        }
    }

    /// What the consumer's [`Extender`](crate::Extender) needs to start the lease anew, because the handler still runs; `None`
    /// when there is no lease, or the delivery is no longer held here.
    pub fn lease(&self) -> Option<LeaseToken> {
        self.driver.as_ref()?.lease(self.delivery)
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.abandon(self.delivery);
        }
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settlement").field(&self.delivery).finish()
    }
}

/// Whether a driver has taken a decision about a delivery on.
pub type Settled = Answer<'static, Result<(), SettleError>>;

/// What happens to a delivery. Each is described at the method of [`Settlement`] of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// [`Settlement::ack`].
    Ack,
    /// [`Settlement::retry`], after this wait.
    Retry(Duration),
    /// [`Settlement::postpone`], for this long.
    Postpone(Duration),
    /// [`Settlement::release`].
    Release,
}

/// A driver's side of [`Settlement`]: it settles many deliveries, each of which it knows by a number of its own choice. Of a
/// delivery either `settle` or `abandon` is called, once.
pub trait Settle: Send + Sync {
    /// Settles the delivery.
    fn settle(self: Arc<Self>, delivery: u64, verdict: Verdict) -> Settled;

    /// The delivery was dropped unsettled: the event comes again, at the latest when its lease ends.
    fn abandon(self: Arc<Self>, delivery: u64);

    /// See [`Settlement::lease`]. Drivers without leases have none.
    fn lease(&self, _delivery: u64) -> Option<LeaseToken> {
        None
    }
}
