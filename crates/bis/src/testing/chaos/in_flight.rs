//! What handlers hold: each delivery as it is settled through chaos, and all of them together, so that a restart of the
//! broker can take them back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bis_broker::{Answer, LeaseToken, Settle, SettleError, Settled, Settlement, Verdict};

use super::{broker::Shared, dice::Fault, faults::Tally};

/// Every delivery in flight.
#[derive(Default)]
pub(super) struct InFlight {
    next: AtomicU64,
    held: Mutex<BTreeMap<u64, Held>>,
}

/// A delivery in flight.
struct Held {
    /// What settles it at the broker.
    settle: Settlement,
    attempt: u32,
    /// `topic/subscription`.
    place: Arc<str>,
}

impl InFlight {
    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, id: u64) -> Option<Held> {
        self.held().remove(&id)
    }

    /// Takes all back, as a broker does whose connections drop: first attempts count. Others are given back uncounted,
    /// so that no event loses more than one attempt.
    async fn take_back(&self) {
        let held = std::mem::take(&mut *self.held());
        for Held { settle, attempt, .. } in held.into_values() {
            // It comes again in either case: if not now, because its lease ends.
            let _ = if attempt == 1 { settle.retry(Duration::ZERO).await } else { settle.release().await };
        }
    }
}

/// The delivery from now on settled through chaos.
pub(super) fn settlement(
    shared: &Arc<Shared>,
    place: &Arc<str>,
    attempt: u32,
    settle: Settlement,
) -> Settlement {
    let id = shared.in_flight.next.fetch_add(1, Ordering::Relaxed);
    shared.in_flight.held().insert(id, Held { settle, attempt, place: place.clone() });
    Settlement::new(shared.clone(), id)
}

/// Acknowledges a delivery, unless chaos has other plans.
async fn ack(shared: Arc<Shared>, id: u64, held: Held) -> Result<(), SettleError> {
    let Shared { dice, settings, tally, in_flight, .. } = &*shared;
    let restart = dice.roll(Fault::Restart, "", settings.restarts);
    let lost = dice.roll(Fault::Duplicate, &held.place, settings.duplicates);
    match (restart, lost) {
        (Some(mut random), _) => {
            let outcome = if held.attempt > 1 {
                held.settle.ack().await?;
                Ok(())
            } else {
                in_flight.held().insert(id, held);
                Err(SettleError::Lost)
            };
            shared.go_down(&mut random);
            in_flight.take_back().await;
            outcome
        }
        (None, Some(mut random)) if held.attempt == 1 => {
            Tally::count(&tally.duplicates);
            let after = shared.some_time(&mut random);
            tracing::debug!(subscription = &*held.place, ?after, "chaos: an ack is lost");
            held.settle.retry(after).await
        }
        _ => held.settle.ack().await,
    }
}

impl Settle for Shared {
    fn settle(self: Arc<Self>, delivery: u64, verdict: Verdict) -> Settled {
        match (self.in_flight.take(delivery), verdict) {
            (None, _) => Answer::ready(Err(SettleError::Lost)),
            (Some(held), Verdict::Ack) => Answer::boxed(ack(self, delivery, held)),
            (Some(held), other) => held.settle.decide(other),
        }
    }

    fn abandon(self: Arc<Self>, delivery: u64) {
        drop(self.in_flight.take(delivery));
    }

    fn lease(&self, delivery: u64) -> Option<LeaseToken> {
        self.in_flight.held().get(&delivery)?.settle.lease()
    }
}
