//! What the runtime tells a broker, seen from a broker that answers as each test needs.

use std::{
    future::pending,
    num::NonZeroUsize,
    panic::Location,
    sync::{Mutex, MutexGuard},
    time::SystemTime,
};

use bis_broker::{
    Answer, BoxFuture, Broker, Consumer, Deliveries, Delivery, Extender, History, LeaseToken, Outgoing,
    PublishError, Receipt, Settle, SettleError, Settled, Settlement, Verdict,
};
use bis_config::Config;
use bis_core::{BrokerKind, Capabilities, DeadLetter, Envelope, EventId};
use bytes::Bytes;

use super::*;
use crate::{
    error::{Error, ErrorContext, Result},
    events::{
        delivery::Incoming,
        entry::{BatchCall, HandlerFuture},
    },
    instance::{Clock, Extensions},
};

/// Everything that the runtime did to the broker, in order.
#[derive(Default)]
struct Log {
    calls: Mutex<Vec<String>>,
    /// What was published.
    letters: Mutex<Vec<DeadLetter>>,
    refuse: bool,
    /// It takes nothing back uncounted, and what is postponed comes again at once.
    counts_everything: bool,
    /// It is a router that does not tell how often an event ended its process.
    counts_no_crashes: bool,
    deliveries: Mutex<Vec<Delivery>>,
}

impl Log {
    fn calls(&self) -> MutexGuard<'_, Vec<String>> {
        self.calls.lock().unwrap()
    }
}

struct Scripted(Arc<Log>);
struct ScriptedConsumer(Arc<Log>);
struct ScriptedSettle(Arc<Log>);
struct ScriptedExtender(Arc<Log>);

impl Broker for Scripted {
    fn capabilities(&self) -> &Capabilities {
        static ROUTER: Capabilities = Capabilities::of(BrokerKind::Router);
        static NSQD: Capabilities = Capabilities::of(BrokerKind::Nsqd);
        static EARLIER: Capabilities =
            Capabilities { crash_count: false, ..Capabilities::of(BrokerKind::Router) };
        if self.0.counts_no_crashes {
            return &EARLIER;
        }
        if self.0.counts_everything { &NSQD } else { &ROUTER }
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        let names: Vec<_> =
            topology.subscriptions.iter().map(|spec| format!("{}/{}", spec.topic, spec.name)).collect();
        self.0.calls().push(format!("ensure {}", names.join(" ")));
        Box::pin(async { Ok(()) })
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>> {
        let letter: DeadLetter = serde_json::from_slice(&events[0].envelope.data).unwrap();
        let DeadLetter { subscription, event, .. } = &letter;
        self.0
            .calls()
            .push(format!("publish {} {}/{subscription} {:?}", topic.name, event.id, letter.reason));
        self.0.letters.lock().unwrap().push(letter);
        let result = if self.0.refuse {
            Err(PublishError::Unavailable("full".into()))
        } else {
            Ok(Receipt::default())
        };
        Box::pin(async { vec![result] })
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        let consumer = ScriptedConsumer(self.0.clone());
        Box::pin(async { Ok(Box::new(consumer) as Box<dyn Consumer>) })
    }

    fn listen<'a>(&'a self, _: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async { Err(ConsumeError::Closed) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Consumer for ScriptedConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>> {
        let mut deliveries = self.0.deliveries.lock().unwrap();
        let count = deliveries.len().min(max.get());
        let now: Deliveries = deliveries.drain(..count).collect();
        if now.is_empty() { Answer::boxed(pending()) } else { Answer::ready(Ok(now)) }
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        Some(Arc::new(ScriptedExtender(self.0.clone())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.0.calls().push("stop".into());
        Box::pin(async {})
    }
}

impl Settle for ScriptedSettle {
    fn settle(self: Arc<Self>, _: u64, verdict: Verdict) -> Settled {
        let call = match verdict {
            Verdict::Ack => "ack",
            Verdict::Retry(_) => "retry",
            Verdict::Postpone(_) => "postpone",
            Verdict::Release => "release",
        };
        self.0.calls().push(call.into());
        Answer::ready(Ok(()))
    }

    fn abandon(self: Arc<Self>, _: u64) {}

    fn lease(&self, _: u64) -> Option<LeaseToken> {
        Some(LeaseToken::new(()))
    }
}

impl Extender for ScriptedExtender {
    fn extend(&self, leases: Vec<LeaseToken>) -> BoxFuture<'_, Vec<Result<(), SettleError>>> {
        self.0.calls().push("extend".into());
        Box::pin(async move { leases.iter().map(|_| Ok(())).collect() })
    }
}

type Handler = fn(u32) -> Result<()>;

/// Delivers one event, stops, and returns what the broker was told after it was subscribed to.
async fn check(
    refuse: bool,
    attempt: u32,
    target: Option<&'static str>,
    run_for: Duration,
    handler: Handler,
) -> Vec<String> {
    let call = move |incoming: Incoming| -> Result<HandlerFuture> {
        Ok(Box::pin(async move {
            tokio::time::sleep(run_for).await;
            handler(incoming.attempt)
        }))
    };
    run(refuse, attempt, target, Duration::from_secs(10), ErasedHandler::One(Arc::new(call))).await
}

/// The same with any handler, for at most `timeout`.
async fn run(
    refuse: bool,
    attempt: u32,
    target: Option<&'static str>,
    timeout: Duration,
    handler: ErasedHandler,
) -> Vec<String> {
    let log = Arc::new(Log { refuse, ..Log::default() });
    let only = delivery(&log, attempt, target);
    log.deliveries.lock().unwrap().push(only);
    run_on(log, timeout, handler).await
}

fn delivery(log: &Arc<Log>, attempt: u32, target: Option<&'static str>) -> Delivery {
    let mut envelope = Envelope::new(EventId::from("e1"), "/shop", "T", SystemTime::now(), Bytes::new());
    envelope.target = target.map(SubscriptionName::from_static);
    Delivery {
        history: History::default(),
        envelope: Arc::new(envelope),
        attempt,
        lease: Some(Duration::from_millis(200)),
        settle: Settlement::new(Arc::new(ScriptedSettle(log.clone())), 0),
    }
}

/// The same with what a log has to deliver.
async fn run_on(log: Arc<Log>, timeout: Duration, handler: ErasedHandler) -> Vec<String> {
    let is_batch = matches!(handler, ErasedHandler::Batch { .. });
    let broker = Arc::new(Scripted(log.clone()));
    let extensions = Extensions::default().with(Bus::new(broker));
    let instance = Arc::new(Instance::new("shop", Config::default(), Clock::System, extensions));
    let subscription = Arc::new(Subscription {
        topic: TopicName::from_static("orders"),
        name: SubscriptionName::from_static("ship"),
        service: "shipping",
        retry: RetryPolicy { max_attempts: 2, ..RetryPolicy::DEFAULT },
        timeout,
        concurrency: 1,
        declared: TopicInfo {
            name: "orders",
            event: "T",
            sensitive: bis_core::redaction::Sensitive::default,
            identity: false,
            ordered: false,
            retention: bis_core::Retention::DEFAULT,
            type_name: "",
            check_scalars: || Ok(()),
            position: Location::caller(),
        },
        handler,
    });
    let all = [subscription];
    ensure(&instance, &all).await.unwrap();
    let mut workers = subscribe(&instance, &all).await.unwrap();
    workers.run(&Handle::current());
    while !log.deliveries.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(if is_batch { Duration::from_millis(600) } else { Duration::from_millis(50) }).await;
    assert_eq!(workers.stop(Instant::now() + Duration::from_secs(5)).await, Stopped::Drained);
    let mut calls = log.calls().clone();
    assert_eq!(calls.remove(0), "ensure bis.dead/store orders/ship");
    calls.retain(|call| call != "stop");
    calls
}

#[tokio::test]
async fn what_is_handled_is_acked() {
    assert_eq!(check(false, 1, None, Duration::ZERO, |_| Ok(())).await, ["ack"]);
}

#[tokio::test]
async fn a_letter_is_kept_before_the_event_is_acked() {
    let calls = check(false, 2, None, Duration::ZERO, |_| Err(Error::msg("no"))).await;
    assert_eq!(calls, ["publish bis.dead e1/ship Exhausted", "ack"]);
}

#[tokio::test]
async fn where_no_letter_can_be_kept_the_event_comes_again() {
    let calls = check(true, 1, None, Duration::ZERO, |_| Err(Error::permanent("no"))).await;
    assert_eq!(calls, ["publish bis.dead e1/ship Permanent", "postpone"]);
}

#[tokio::test]
async fn an_outage_of_the_broker_uses_up_no_attempt() {
    for attempt in [1, 2] {
        let calls = check(false, attempt, None, Duration::ZERO, |_| {
            let source = PublishError::Unavailable("no room".into());
            Err(crate::PublishError::Broker { topic: TopicName::DEAD, source }).error_context("tell the shop")
        });
        assert_eq!(calls.await, ["postpone"]);
    }
    let calls = check(false, 2, None, Duration::ZERO, |_| {
        let source = PublishError::Refused("a bad name".into());
        Err(crate::PublishError::Broker { topic: TopicName::DEAD, source }.into())
    });
    assert_eq!(calls.await, ["publish bis.dead e1/ship Exhausted", "ack"]);
}

/// A handler that says in the log that it ran, and succeeds.
fn noting(log: &Arc<Log>) -> ErasedHandler {
    let log = log.clone();
    let call = move |_: Incoming| -> crate::Result<HandlerFuture> {
        log.calls().push("run".into());
        Ok(Box::pin(async { Ok(()) }))
    };
    ErasedHandler::One(Arc::new(call))
}

/// Delivers an event with such a past to a handler that would succeed.
async fn check_past(counts_everything: bool, attempt: u32, history: History) -> (Vec<String>, Arc<Log>) {
    let log = Arc::new(Log { counts_everything, ..Log::default() });
    let next = Delivery { history, ..delivery(&log, attempt, None) };
    log.deliveries.lock().unwrap().push(next);
    let handler = noting(&log);
    (run_on(log.clone(), Duration::from_secs(10), handler).await, log)
}

#[tokio::test]
async fn an_event_that_killed_its_process_too_often_is_not_run_again_and_its_letter_says_so() {
    let history = History { crashes: 2, is_suspect: true, generation: 3 };
    let (calls, log) = check_past(false, 3, history).await;
    assert_eq!(calls, ["publish bis.dead e1/ship Exhausted", "ack"]);
    let letter = log.letters.lock().unwrap().remove(0);
    assert!(
        letter.error.starts_with("the process died 2 times while handling the event: "),
        "{}",
        letter.error
    );
    assert_eq!((letter.attempts, letter.generation), (2, 3), "this delivery was no attempt");
}

#[tokio::test]
async fn nothing_is_buried_unseen_for_its_count_of_attempts() {
    for attempt in [3, 99] {
        let history = History { crashes: 1, ..History::default() };
        assert_eq!(check_past(false, attempt, history).await.0, ["run", "ack"]);
    }
}

#[tokio::test]
async fn where_nothing_is_known_of_crashes_deliveries_have_a_bound() {
    assert_eq!(check_past(true, 5, History::default()).await.0, ["run", "ack"]);
    let (calls, log) = check_past(true, 6, History::default()).await;
    assert_eq!(calls, ["publish bis.dead e1/ship Exhausted", "ack"]);
    let error = log.letters.lock().unwrap().remove(0).error;
    assert!(error.starts_with("the last 4 deliveries of the event were not answered: "), "{error}");
}

/// It counts what ended its process as an attempt, and reports nothing else about it.
#[tokio::test]
async fn an_earlier_version_of_the_router_does_not_deliver_a_deadly_event_forever() {
    let log = Arc::new(Log { counts_no_crashes: true, ..Log::default() });
    log.deliveries.lock().unwrap().push(delivery(&log, 6, None));
    let handler = noting(&log);
    let calls = run_on(log, Duration::from_secs(10), handler).await;
    assert_eq!(calls, ["publish bis.dead e1/ship Exhausted", "ack"]);
}

#[tokio::test]
async fn a_copy_for_another_subscription_is_acked_unhandled() {
    let calls = check(false, 1, Some("bill"), Duration::ZERO, |_| panic!("it must not run")).await;
    assert_eq!(calls, ["ack"]);
    let calls = check(false, 1, Some("ship"), Duration::ZERO, |_| Err(Error::msg("no"))).await;
    assert_eq!(calls, ["retry"]);
}

#[tokio::test]
async fn the_lease_is_extended_at_half_its_time_while_the_handler_runs_through_a_stop_too() {
    let calls = check(false, 1, None, Duration::from_millis(350), |_| Ok(())).await;
    assert_eq!(calls, ["extend", "extend", "extend", "ack"]);
}

/// Panics when it is dropped.
struct Grumpy;

impl Drop for Grumpy {
    fn drop(&mut self) {
        panic!("as asked");
    }
}

/// A handler whose future holds something that panics when it is dropped, after it returned or when it is cancelled.
struct Held {
    inner: HandlerFuture,
    _grumpy: Grumpy,
}

impl Future for Held {
    type Output = Result<()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.inner.as_mut().poll(context)
    }
}

#[tokio::test]
async fn a_destructor_that_panics_changes_no_outcome() {
    let returns = |incoming: Incoming| -> Result<HandlerFuture> {
        let result = if incoming.attempt == 1 { Ok(()) } else { Err(Error::permanent("no")) };
        Ok(Box::pin(Held { inner: Box::pin(async { result }), _grumpy: Grumpy }))
    };
    let (returns, longest) = (Arc::new(returns), Duration::from_secs(10));
    assert_eq!(run(false, 1, None, longest, ErasedHandler::One(returns.clone())).await, ["ack"]);
    assert_eq!(
        run(false, 2, None, longest, ErasedHandler::One(returns.clone())).await,
        ["publish bis.dead e1/ship Permanent", "ack"]
    );
    let hangs = |_: Incoming| -> Result<HandlerFuture> {
        Ok(Box::pin(Held { inner: Box::pin(pending()), _grumpy: Grumpy }))
    };
    assert_eq!(
        run(false, 1, None, Duration::from_millis(10), ErasedHandler::One(Arc::new(hangs))).await,
        ["retry"]
    );
}

#[tokio::test]
async fn a_batch_waits_as_long_as_it_says_and_its_leases_are_extended_meanwhile() {
    let begun = Arc::new(Mutex::new(None));
    let noted = begun.clone();
    let call = move |_: Vec<Incoming>| {
        *noted.lock().unwrap() = Some(std::time::Instant::now());
        BatchCall { future: Some(Box::pin(async { Ok(()) })), undecodable: Vec::new() }
    };
    let wait = Duration::from_millis(350);
    let started = std::time::Instant::now();
    let handler = ErasedHandler::Batch { max: 2, wait, call: Arc::new(call) };
    let calls = run(false, 1, None, Duration::from_secs(10), handler).await;
    assert_eq!(calls, ["extend", "extend", "extend", "ack"]);
    assert!(begun.lock().unwrap().expect("it ran") - started >= wait);
}

#[tokio::test]
async fn what_may_have_ended_a_process_waits_for_no_batch() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let noted = batches.clone();
    let call = move |batch: Vec<Incoming>| {
        noted.lock().unwrap().push(batch.iter().map(|incoming| incoming.attempt).collect::<Vec<_>>());
        BatchCall { future: Some(Box::pin(async { Ok(()) })), undecodable: Vec::new() }
    };
    let log = Arc::new(Log::default());
    let suspect = History { is_suspect: true, ..History::default() };
    let deliveries = [
        delivery(&log, 1, None),
        Delivery { history: suspect, ..delivery(&log, 2, None) },
        delivery(&log, 3, None),
    ];
    log.deliveries.lock().unwrap().extend(deliveries);
    let forever = Duration::from_secs(3600);
    let handler = ErasedHandler::Batch { max: 9, wait: forever, call: Arc::new(call) };
    let calls = run_on(log, Duration::from_secs(10), handler).await;
    assert_eq!(calls, ["ack"; 3]);
    let mut batches = batches.lock().unwrap().clone();
    batches.sort();
    assert_eq!(batches, [vec![1, 3], vec![2]]);
}

#[tokio::test]
async fn a_broker_that_counts_everything_is_corrected() {
    let fails = |_: Incoming| -> Result<HandlerFuture> {
        let source = PublishError::Unavailable("no room".into());
        let error = crate::PublishError::Broker { topic: TopicName::DEAD, source };
        Ok(Box::pin(async { Err(error.into()) }))
    };
    let log = Arc::new(Log { counts_everything: true, ..Log::default() });
    // Far beyond the two attempts that are allowed, and what is allowed for on such a broker.
    for attempt in 1..=9 {
        let next = delivery(&log, attempt, None);
        log.deliveries.lock().unwrap().push(next);
    }
    let calls = run_on(log, Duration::from_secs(10), ErasedHandler::One(Arc::new(fails))).await;
    assert_eq!(calls, ["postpone"; 9]);
}
