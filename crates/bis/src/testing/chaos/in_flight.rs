//! What handlers hold: each delivery as it is settled through chaos, and all of them together, so that a restart of the
//! broker can take them back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bis_broker::{BoxFuture, LeaseToken, Settle, SettleError};

use super::{broker::Shared, dice::Fault, faults::Tally};

/// A delivery in flight: what settles it at the broker, until somebody does.
type Cell = Mutex<Option<Box<dyn Settle>>>;

fn take(cell: &Cell) -> Option<Box<dyn Settle>> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Every delivery in flight.
#[derive(Default)]
pub(super) struct InFlight {
    next: AtomicU64,
    held: Mutex<BTreeMap<u64, (Weak<Cell>, u32)>>,
}

impl InFlight {
    /// Takes all back, as a broker does whose connections drop: first attempts count. Others are given back uncounted,
    /// so that no event loses more than one attempt.
    async fn take_back(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for (cell, attempt) in held.into_values() {
            let Some(settle) = cell.upgrade().and_then(|cell| take(&cell)) else { continue };
            // It comes again in either case: if not now, because its lease ends.
            let _ = if attempt == 1 { settle.retry(Duration::ZERO).await } else { settle.release().await };
        }
    }

    fn forget(&self, id: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Settles one delivery, unless chaos has other plans.
pub(super) struct ChaosSettle {
    shared: Arc<Shared>,
    place: Arc<str>,
    attempt: u32,
    id: u64,
    cell: Arc<Cell>,
}

impl ChaosSettle {
    pub(super) fn new(shared: Arc<Shared>, place: Arc<str>, attempt: u32, settle: Box<dyn Settle>) -> Self {
        let id = shared.in_flight.next.fetch_add(1, Ordering::Relaxed);
        let cell = Arc::new(Mutex::new(Some(settle)));
        let mut held = shared.in_flight.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(id, (Arc::downgrade(&cell), attempt));
        drop(held);
        Self { shared, place, attempt, id, cell }
    }

    /// The delivery, unless it is no longer held here.
    fn take(&self) -> Result<Box<dyn Settle>, SettleError> {
        take(&self.cell).ok_or(SettleError::Lost)
    }

    async fn acked(&self) -> Result<(), SettleError> {
        let Shared { dice, settings, tally, .. } = &*self.shared;
        let restart = dice.roll(Fault::Restart, "", settings.restarts);
        let lost = dice.roll(Fault::Duplicate, &self.place, settings.duplicates);
        if let Some(mut random) = restart {
            if self.attempt > 1 {
                self.take()?.ack().await?;
            }
            self.shared.go_down(&mut random);
            self.shared.in_flight.take_back().await;
            return if self.attempt > 1 { Ok(()) } else { Err(SettleError::Lost) };
        }
        let settle = self.take()?;
        match lost {
            Some(mut random) if self.attempt == 1 => {
                Tally::count(&tally.duplicates);
                let after = self.shared.some_time(&mut random);
                tracing::debug!(subscription = &*self.place, ?after, "chaos: an ack is lost");
                settle.retry(after).await
            }
            _ => settle.ack().await,
        }
    }
}

impl Drop for ChaosSettle {
    fn drop(&mut self) {
        self.shared.in_flight.forget(self.id);
    }
}

impl Settle for ChaosSettle {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.acked().await })
    }

    fn retry(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.take()?.retry(wait).await })
    }

    fn postpone(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.take()?.postpone(wait).await })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.take()?.release().await })
    }

    fn lease(&self) -> Option<LeaseToken> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.lease()
    }
}
