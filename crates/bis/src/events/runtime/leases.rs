//! The leases of the deliveries that this process holds, from the moment that they are received until they are settled.
//! One task extends all of them, which no handler can hold up: it runs beside the handlers' threads, not on them.
//!
//! It settles nothing by itself, except that it gives back what no handler has begun with.

use std::{
    fmt,
    future::ready,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bis_broker::{BoxFuture, Delivery, NumberMap, Settle, SettleError};
use bis_core::EventId;
use tokio::{sync::Notify, time::sleep_until};

use super::threads::Threads;

/// How often the task looks at leases and threads at least.
const LOOK: Duration = Duration::from_secs(1);

/// How soon an extension is tried again that something else held up.
const AGAIN: Duration = Duration::from_millis(100);

/// Leases that are extended.
#[derive(Default)]
pub(super) struct Leases {
    state: Mutex<State>,
    /// Rung when one is due sooner than the task looks.
    sooner: Arc<Notify>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    next_id: u64,
    held: NumberMap<u64, Held>,
}

/// One delivery.
struct Held {
    settle: Box<dyn Settle>,
    event: EventId,
    lease: Duration,
    /// When to extend it; `None` when it is lost.
    due: Option<Instant>,
    started: bool,
}

/// A delivery that no handler has begun with. Dropped, it goes back uncounted where the broker can.
pub(super) struct Received {
    delivery: Delivery,
    lease: Option<(Arc<Leases>, u64)>,
}

impl Leases {
    /// Starts the task that extends leases, on the current runtime. It ends with these leases.
    pub(super) fn start() -> Arc<Self> {
        let leases = Arc::new(Self::default());
        tokio::spawn(keep(Arc::downgrade(&leases), leases.sooner.clone()));
        leases
    }

    /// From now on the delivery's lease is extended, at half its time.
    pub(super) fn hold(self: &Arc<Self>, mut delivery: Delivery) -> Received {
        let Some(lease) = delivery.lease else { return Received { delivery, lease: None } };
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let settle = mem::replace(&mut delivery.settle, Box::new(HeldSettle { leases: self.clone(), id }));
        let (event, due) = (delivery.envelope.id.clone(), Some(Instant::now() + lease / 2));
        state.held.insert(id, Held { settle, event, lease, due, started: false });
        drop(state);
        if lease / 2 < LOOK {
            self.sooner.notify_one();
        }
        Received { delivery, lease: Some((self.clone(), id)) }
    }

    /// Gives back what no handler has begun with: threads may be blocked, and the process is about to end.
    pub(super) fn release_unstarted(&self) {
        let unstarted: Vec<Held> =
            self.state().held.extract_if(|_, held| !held.started).map(|(_, held)| held).collect();
        for held in unstarted {
            at_once(&mut held.settle.release());
        }
    }

    fn take(&self, id: u64) -> Option<Held> {
        self.state().held.remove(&id)
    }

    /// Extends what is due. Returns when the next one is.
    fn extend_due(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        for held in state.held.values_mut().filter(|held| held.due.is_some_and(|due| due <= now)) {
            held.due = match at_once(&mut held.settle.extend()) {
                Some(Ok(())) => Some(now + held.lease / 2),
                Some(Err(error @ (SettleError::Lost | SettleError::Closed))) => {
                    tracing::warn!(event = %held.event.shown(), %error, "the lease could not be extended");
                    None
                }
                None => Some(now + AGAIN),
            };
        }
        state.held.values().filter_map(|held| held.due).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Received {
    /// A handler begins with it.
    pub(super) fn start(self) -> Result<Delivery, Unstarted> {
        if let Some((leases, id)) = &self.lease {
            let mut state = leases.state();
            let held = state.held.get_mut(id).ok_or(Unstarted::GivenBack)?;
            if held.due.is_none() {
                return Err(Unstarted::Lost(held.event.clone()));
            }
            held.started = true;
        }
        Ok(self.delivery)
    }
}

/// Why a handler does not begin with a delivery.
#[derive(Debug)]
pub(super) enum Unstarted {
    /// It went back.
    GivenBack,
    /// Its lease ended: the broker gives the event to somebody again.
    Lost(EventId),
}

/// Extends leases and watches threads until the leases are gone.
async fn keep(leases: Weak<Leases>, sooner: Arc<Notify>) {
    let mut threads = Threads::default();
    loop {
        let Some(next) = leases.upgrade().map(|leases| leases.extend_due(Instant::now())) else { return };
        threads.warn_of_blocked();
        let look = Instant::now() + LOOK;
        tokio::select! {
            () = sleep_until(next.map_or(look, |next| next.min(look)).into()) => {}
            () = sooner.notified() => {}
        }
    }
}

/// What a future is ready with now, if it is.
fn at_once<T>(future: &mut BoxFuture<'_, T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Settles a delivery whose lease is extended until then.
struct HeldSettle {
    leases: Arc<Leases>,
    id: u64,
}

impl HeldSettle {
    fn settle(
        &self,
        how: impl FnOnce(Box<dyn Settle>) -> BoxFuture<'static, Result<(), SettleError>>,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        match self.leases.take(self.id) {
            Some(held) => how(held.settle),
            None => Box::pin(ready(Err(SettleError::Lost))),
        }
    }
}

impl Settle for HeldSettle {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        self.settle(|settle| settle.ack())
    }

    fn retry(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        self.settle(|settle| settle.retry(wait))
    }

    fn postpone(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        self.settle(|settle| settle.postpone(wait))
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        self.settle(|settle| settle.release())
    }

    fn extend(&mut self) -> BoxFuture<'_, Result<(), SettleError>> {
        // The task does.
        Box::pin(ready(Ok(())))
    }
}

impl Drop for HeldSettle {
    fn drop(&mut self) {
        if let Some(held) = self.leases.take(self.id)
            && !held.started
        {
            at_once(&mut held.settle.release());
        }
    }
}
