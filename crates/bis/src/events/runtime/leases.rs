//! The leases of the deliveries that this process holds, from the moment that they are received until they are settled.
//! One task extends all of them, those of one consumer in one call, which no handler can hold up: it runs beside the handlers'
//! threads, not on them.
//!
//! It settles nothing by itself, except that it gives back what no handler has begun with.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bis_broker::{
    Answer, Delivery, Extender, LeaseToken, NumberMap, Settle, SettleError, Settled, Settlement, Verdict,
};
use bis_core::EventId;
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};

use crate::instance::threads::Threads;

/// How often the task looks at leases and threads at least.
const LOOK: Duration = Duration::from_secs(1);

/// How soon an extension is tried again that was not answered.
const AGAIN: Duration = Duration::from_millis(100);

/// How long an extension may take before it is tried again.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A lease may be extended early by this fraction of it, so that it goes along with others of its consumer.
const EARLY: u32 = 4;

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
    settle: Settlement,
    extender: Arc<dyn Extender>,
    event: EventId,
    lease: Duration,
    standing: Standing,
    started: bool,
}

/// What is to be done about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is to be extended at this time.
    Due(Instant),
    /// The driver has been asked to extend it.
    Asked,
    /// It cannot be extended: the broker gives the event to somebody again.
    Lost,
}

impl Held {
    /// When to extend it, if nobody has been asked to.
    fn due(&self) -> Option<Instant> {
        match self.standing {
            Standing::Due(due) => Some(due),
            Standing::Asked | Standing::Lost => None,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether it may be extended with others of its consumer.
    fn is_nearly_due(&self, now: Instant) -> bool {
        self.is_due(now + self.lease / EARLY)
    }

    fn lose(&mut self, error: &SettleError) {
        self.standing = Standing::Lost;
        tracing::warn!(event = %self.event.shown(), %error, "the lease could not be extended");
    }
}

/// The leases of one consumer that are extended in one call.
struct Extension {
    extender: Arc<dyn Extender>,
    ids: Vec<u64>,
    tokens: Vec<LeaseToken>,
}

impl Extension {
    /// Calls the driver once. One result per lease; none for those of which it does not say anything in time.
    async fn call(self, leases: Weak<Leases>, now: Instant) {
        let results = timeout(ANSWER_WAIT, self.extender.extend(self.tokens)).await.unwrap_or_default();
        if let Some(leases) = leases.upgrade() {
            leases.extended(&self.ids, &results, now);
        }
    }
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
    pub(super) fn hold(
        self: &Arc<Self>,
        mut delivery: Delivery,
        extender: Option<&Arc<dyn Extender>>,
    ) -> Received {
        let Some((lease, extender)) = delivery.lease.zip(extender.cloned()) else {
            return Received { delivery, lease: None };
        };
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let settle = mem::replace(&mut delivery.settle, Settlement::new(self.clone(), id));
        let event = delivery.envelope.id.clone();
        let standing = Standing::Due(Instant::now() + lease / 2);
        state.held.insert(id, Held { settle, extender, event, lease, standing, started: false });
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
            at_once(held.settle.release());
        }
    }

    fn take(&self, id: u64) -> Option<Held> {
        self.state().held.remove(&id)
    }

    /// What is to be extended now, in one call per consumer, and when the next lease is due.
    fn due(&self, now: Instant) -> (Vec<Extension>, Option<Instant>) {
        let mut extensions: Vec<Extension> = Vec::new();
        let mut state = self.state();
        for Held { extender, .. } in state.held.values().filter(|held| held.is_due(now)) {
            if !extensions.iter().any(|one| Arc::ptr_eq(&one.extender, extender)) {
                extensions.push(Extension {
                    extender: extender.clone(),
                    ids: Vec::new(),
                    tokens: Vec::new(),
                });
            }
        }
        for (id, held) in state.held.iter_mut().filter(|(_, held)| held.is_nearly_due(now)) {
            let own = extensions.iter_mut().find(|one| Arc::ptr_eq(&one.extender, &held.extender));
            let Some(extension) = own else { continue };
            match held.settle.lease() {
                Some(token) => {
                    held.standing = Standing::Asked;
                    extension.ids.push(*id);
                    extension.tokens.push(token);
                }
                None => held.lose(&SettleError::Lost),
            }
        }
        let next = state.held.values().filter_map(Held::due).min();
        (extensions, next)
    }

    /// The results for leases that were to be extended at `now`. Those that were settled meanwhile are no longer here.
    fn extended(&self, ids: &[u64], results: &[Result<(), SettleError>], now: Instant) {
        let mut state = self.state();
        for (index, id) in ids.iter().enumerate() {
            let Some(held) = state.held.get_mut(id) else { continue };
            match results.get(index) {
                Some(Ok(())) => held.standing = Standing::Due(now + held.lease / 2),
                Some(Err(error)) => held.lose(error),
                None => held.standing = Standing::Due(Instant::now() + AGAIN),
            }
        }
        drop(state);
        self.sooner.notify_one();
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
            if held.standing == Standing::Lost {
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
        let now = Instant::now();
        let Some((extensions, next)) = leases.upgrade().map(|leases| leases.due(now)) else { return };
        for extension in extensions.into_iter().filter(|extension| !extension.ids.is_empty()) {
            tokio::spawn(extension.call(leases.clone(), now));
        }
        threads.warn_of_blocked();
        let look = Instant::now() + LOOK;
        tokio::select! {
            () = sleep_until(next.map_or(look, |next| next.min(look)).into()) => {}
            () = sooner.notified() => {}
        }
    }
}

/// What is answered now, if it is.
fn at_once(mut settled: Settled) -> Option<Result<(), SettleError>> {
    match Pin::new(&mut settled).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Settles deliveries whose leases are extended until then. None of them has a lease for others: the task extends it.
impl Settle for Leases {
    fn settle(self: Arc<Self>, delivery: u64, verdict: Verdict) -> Settled {
        match self.take(delivery) {
            Some(held) => held.settle.decide(verdict),
            None => Answer::ready(Err(SettleError::Lost)),
        }
    }

    fn abandon(self: Arc<Self>, delivery: u64) {
        if let Some(held) = self.take(delivery)
            && !held.started
        {
            at_once(held.settle.release());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, time::SystemTime};

    use bis_broker::{BoxFuture, History};
    use bis_core::Envelope;
    use bytes::Bytes;

    use super::*;

    /// A driver that notes how many leases each call was for, and answers the last one of them otherwise.
    #[derive(Default)]
    struct Driver {
        calls: Mutex<Vec<Vec<u64>>>,
        last: Option<SettleError>,
    }

    impl Extender for Driver {
        fn extend(&self, leases: Vec<LeaseToken>) -> BoxFuture<'_, Vec<Result<(), SettleError>>> {
            let numbers: Vec<u64> = leases.into_iter().map(|lease| lease.downcast().unwrap()).collect();
            let mut results: Vec<_> = numbers.iter().map(|_| Ok(())).collect();
            if let Some((last, error)) = results.last_mut().zip(self.last.clone()) {
                *last = Err(error);
            }
            self.calls.lock().unwrap().push(numbers);
            Box::pin(ready(results))
        }
    }

    impl Driver {
        /// The leases of each call since the last time.
        fn calls(&self) -> Vec<Vec<u64>> {
            let mut calls = mem::take(&mut *self.calls.lock().unwrap());
            calls.iter_mut().for_each(|call| call.sort_unstable());
            calls
        }
    }

    /// Settles deliveries by number.
    struct Numbered;

    impl Settle for Numbered {
        fn settle(self: Arc<Self>, _: u64, _: Verdict) -> Settled {
            Answer::ready(Ok(()))
        }

        fn abandon(self: Arc<Self>, _: u64) {}

        fn lease(&self, number: u64) -> Option<LeaseToken> {
            Some(LeaseToken::new(number))
        }
    }

    const LEASE: Duration = Duration::from_secs(60);

    fn hold(leases: &Arc<Leases>, driver: &Arc<Driver>, number: u64) -> Delivery {
        let envelope = Envelope::foreign(EventId::from("e1"), SystemTime::UNIX_EPOCH, Bytes::new());
        let settle = Settlement::new(Arc::new(Numbered), number);
        let delivery = Delivery {
            envelope: Arc::new(envelope),
            attempt: 1,
            history: History::default(),
            lease: Some(LEASE),
            settle,
        };
        let driver: Arc<dyn Extender> = driver.clone();
        leases.hold(delivery, Some(&driver)).start().unwrap()
    }

    /// Does what is due at this time; returns when the next lease is.
    async fn extend(leases: &Arc<Leases>, at: Instant) -> Option<Instant> {
        let (extensions, _) = leases.due(at);
        for extension in extensions {
            extension.call(Arc::downgrade(leases), at).await;
        }
        leases.state().held.values().filter_map(Held::due).min()
    }

    #[tokio::test]
    async fn a_consumer_is_called_once_for_all_of_its_leases() {
        let (leases, [one, other]) = (Arc::new(Leases::default()), [Arc::default(), Arc::default()]);
        let before = Instant::now();
        let held: Vec<Delivery> = (0..100).map(|number| hold(&leases, &one, number)).collect();
        let settled = hold(&leases, &other, 7);
        let kept = hold(&leases, &other, 8);
        let after = Instant::now();

        extend(&leases, before + LEASE / 4 - Duration::from_secs(1)).await;
        assert_eq!((one.calls(), other.calls()), (vec![], vec![]), "none is due");
        settled.settle.ack().await.unwrap();
        // One lease is due by now for certain, and the others with it.
        let next = extend(&leases, after + LEASE / 2).await;
        assert_eq!((one.calls(), other.calls()), (vec![(0..100).collect()], vec![vec![8]]));
        assert_eq!(next, Some(after + LEASE), "all of them begin anew");
        drop((held, kept));
    }

    #[tokio::test]
    async fn a_lease_that_is_lost_is_not_extended_again() {
        let leases = Arc::new(Leases::default());
        let driver = Arc::new(Driver { last: Some(SettleError::Lost), ..Driver::default() });
        let _held = hold(&leases, &driver, 1);
        let due = Instant::now() + LEASE / 2;
        assert_eq!(extend(&leases, due).await, None);
        assert_eq!(extend(&leases, due + LEASE).await, None);
        assert_eq!(driver.calls(), [[1]]);
    }

    /// A broker that gives no answer is asked again, and soon.
    #[tokio::test]
    async fn what_was_not_answered_is_tried_again() {
        struct Silent;

        impl Extender for Silent {
            fn extend(&self, _: Vec<LeaseToken>) -> BoxFuture<'_, Vec<Result<(), SettleError>>> {
                Box::pin(ready(Vec::new()))
            }
        }

        let (leases, silent) = (Arc::new(Leases::default()), Arc::new(Silent) as Arc<dyn Extender>);
        let envelope = Envelope::foreign(EventId::from("e1"), SystemTime::UNIX_EPOCH, Bytes::new());
        let settle = Settlement::new(Arc::new(Numbered), 1);
        let delivery = Delivery {
            envelope: Arc::new(envelope),
            attempt: 1,
            history: History::default(),
            lease: Some(LEASE),
            settle,
        };
        let _held = leases.hold(delivery, Some(&silent)).start().unwrap();
        let before = Instant::now();
        let next = extend(&leases, before + LEASE / 2 + AGAIN).await.unwrap();
        assert!((before..before + LEASE / 4).contains(&next));
    }
}
