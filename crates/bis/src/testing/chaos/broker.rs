//! A broker under chaos: passes everything on to another one, and lets happen what the settings say. It never reports as
//! published what the other broker has not taken, and never keeps anything but late deliveries.

use std::{
    collections::HashSet,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, EnsureError, InquiryError, Outgoing, Page, PublishError,
    Receipt, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Topology,
};
use bis_core::{Capabilities, EventId, TopicName};
use fastrand::Rng;

use super::{
    Chaos, Faults,
    consumer::ChaosConsumer,
    dice::{Dice, Fault},
    faults::Tally,
    in_flight::InFlight,
};
use crate::instance::{Clock, Purpose, Scope};

/// Injects faults into the traffic of another broker.
pub struct ChaosBroker {
    inner: Arc<dyn Broker>,
    shared: Arc<Shared>,
}

/// What publishes and consumers share.
pub(super) struct Shared {
    pub(super) settings: Chaos,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) tally: Tally,
    pub(super) in_flight: InFlight,
    /// Until when the broker restarts.
    down_until: Mutex<Option<Duration>>,
    /// Runs of handlers for which a publish has failed, at most [`MAX_FAILED`].
    failed: Mutex<HashSet<Run>>,
    /// Topics whose events may not come late, since others would overtake them.
    ordered: RwLock<HashSet<TopicName>>,
}

/// The event that a handler runs for, and its service.
type Run = (EventId, Option<&'static str>);

/// With this many runs for which a publish has failed, no more fail.
const MAX_FAILED: usize = 65_536;

fn run(scope: &Scope) -> Option<Run> {
    Some((scope.cause.clone()?, scope.service))
}

impl Shared {
    /// A random time, at most the longest delay.
    pub(super) fn some_time(&self, random: &mut Rng) -> Duration {
        self.settings.longest_delay.mul_f64(random.f64())
    }

    /// The broker is gone for a while.
    pub(super) fn go_down(&self, random: &mut Rng) {
        let wait = self.some_time(random);
        let until = Some(self.clock.elapsed().saturating_add(wait));
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        Tally::count(&self.tally.restarts);
        tracing::debug!(?wait, "chaos: the broker restarts");
    }

    /// How long the broker is still gone.
    fn down_for(&self) -> Option<Duration> {
        let until = (*self.down_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.saturating_sub(self.clock.elapsed())).filter(|wait| !wait.is_zero())
    }

    /// Waits until the broker is there.
    pub(super) async fn up(&self, purpose: Purpose) {
        while let Some(wait) = self.down_for() {
            self.clock.sleep(wait, purpose).await;
        }
    }

    /// Whether a publish of the running code may fail: it must be one that is tried again. A run that failed for it is no
    /// attempt, so that what failed before is remembered.
    fn may_fail(&self) -> bool {
        Scope::with(|scope| match scope.and_then(|scope| Some((scope.attempt?, run(scope)?))) {
            Some((attempt, run)) => {
                let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                attempt == 1 && failed.len() < MAX_FAILED && !failed.contains(&run)
            }
            None => self.settings.requests,
        })
    }

    /// A publish of the running code fails.
    fn note_failure(&self) {
        if let Some(run) = Scope::with(|scope| scope.and_then(run)) {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        }
    }

    fn is_ordered(&self, topic: &TopicName) -> bool {
        self.ordered.read().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// What an event meets on its way in.
    fn fate(&self, topic: &TopicName, may_fail: bool) -> Fate {
        // Rolled in any case: what happens to the next event does not depend on who publishes this one.
        let struck = self.dice.roll(Fault::PublishError, topic.as_str(), self.settings.publish_errors);
        let Some(mut random) = struck.filter(|_| may_fail) else { return Fate::Taken };
        Tally::count(&self.tally.publish_errors);
        let fate = match random.u8(0..4) {
            0 => Fate::TakenUnanswered,
            1 => Fate::LostUnanswered,
            _ => Fate::Unreachable,
        };
        tracing::debug!(%topic, ?fate, "chaos: a publish fails");
        fate
    }

    /// Lets an event enter late where that cannot change an order.
    fn delay(&self, topic: &TopicSpec, event: &mut Outgoing, longest: Option<Duration>) {
        if topic.ordered || self.is_ordered(&topic.name) {
            return;
        }
        let topic = &topic.name;
        let struck = self.dice.roll(Fault::LatePublish, topic.as_str(), self.settings.delays);
        let Some(mut random) = struck else { return };
        let delay = event.delay.saturating_add(self.some_time(&mut random));
        if longest.is_none_or(|longest| delay <= longest) {
            tracing::debug!(%topic, event = %event.envelope.id, ?delay, "chaos: an event enters late");
            event.delay = delay;
            Tally::count(&self.tally.delays);
        }
    }
}

/// What happens to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    TakenUnanswered,
    LostUnanswered,
    Unreachable,
}

impl ChaosBroker {
    /// Puts chaos before a broker, on the system's time.
    pub fn new(inner: Arc<dyn Broker>, settings: Chaos) -> Self {
        Self::with_clock(inner, settings, Clock::System)
    }

    pub(crate) fn with_clock(inner: Arc<dyn Broker>, settings: Chaos, clock: Clock) -> Self {
        let shared = Shared {
            settings,
            clock,
            dice: Dice::new(settings.seed()),
            tally: Tally::default(),
            in_flight: InFlight::default(),
            down_until: Mutex::new(None),
            failed: Mutex::default(),
            ordered: RwLock::default(),
        };
        Self { inner, shared: Arc::new(shared) }
    }

    /// What was injected so far.
    pub fn faults(&self) -> Faults {
        self.shared.tally.faults()
    }

    async fn publish_all(
        &self,
        topic: &TopicSpec,
        events: Vec<Outgoing>,
    ) -> Vec<Result<Receipt, PublishError>> {
        let may_fail = self.shared.may_fail();
        if self.shared.down_for().is_some() {
            if may_fail {
                self.shared.note_failure();
                return events.iter().map(|_| Err(unreachable())).collect();
            }
            // As a driver does, for a while that is shorter than a driver's patience.
            let activity = Scope::with(|scope| scope.and_then(|scope| scope.activity));
            self.shared.up(Purpose::Wait(activity)).await;
        }
        let longest = self.capabilities().max_publish_delay;
        let mut fates = Vec::with_capacity(events.len());
        let mut passed = Vec::with_capacity(events.len());
        for mut event in events {
            let fate = self.shared.fate(&topic.name, may_fail);
            fates.push(fate);
            if matches!(fate, Fate::Taken | Fate::TakenUnanswered) {
                self.shared.delay(topic, &mut event, longest);
                passed.push(event);
            }
        }
        if fates.iter().any(|fate| *fate != Fate::Taken) {
            self.shared.note_failure();
        }
        let results = match passed.is_empty() {
            true => Vec::new(),
            false => self.inner.publish(topic, passed).await,
        };
        let mut results = results.into_iter();
        let mut next = || results.next().unwrap_or_else(|| Err(unanswered()));
        fates
            .into_iter()
            .map(|fate| match fate {
                Fate::Taken => next(),
                Fate::TakenUnanswered => next().and(Err(unanswered())),
                Fate::LostUnanswered => Err(unanswered()),
                Fate::Unreachable => Err(unreachable()),
            })
            .collect()
    }
}

const ADDRESS: &str = "chaos";

fn unreachable() -> PublishError {
    PublishError::Unreachable { address: ADDRESS.into(), reason: "a fault that was asked for".into() }
}

fn unanswered() -> PublishError {
    PublishError::Unanswered { address: ADDRESS.into() }
}

impl fmt::Debug for ChaosBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosBroker").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Broker for ChaosBroker {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        let ordered = topology.topics.iter().filter(|topic| topic.ordered).map(|topic| topic.name.clone());
        self.shared.ordered.write().unwrap_or_else(PoisonError::into_inner).extend(ordered);
        self.inner.ensure(topology)
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>> {
        Box::pin(self.publish_all(topic, events))
    }

    fn subscribe<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            let inner = self.inner.subscribe(subscription).await?;
            let consumer = ChaosConsumer::new(self.shared.clone(), inner, subscription);
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn listen<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        self.inner.listen(topic)
    }

    fn peek<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'a, Result<Page, InquiryError>> {
        self.inner.peek(subscription, after, limit)
    }

    fn replay<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        from: ReplayFrom,
    ) -> BoxFuture<'a, Result<Replayed, InquiryError>> {
        self.inner.replay(subscription, from)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
