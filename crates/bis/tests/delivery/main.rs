//! Delivery through the public surface: what happens to an event that a handler takes, refuses, or never finishes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bis::{DeadReason, prelude::*};

bis::service!("orders");

mod publishing;

mod this {
    bis::app!(services: [crate]);
}

#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
struct Order {
    #[event(key)]
    id: u32,
    #[event(attribute)]
    region: String,
}

impl Order {
    fn new(id: u32) -> Self {
        Self { id, region: "eu".into() }
    }
}

static PLACED: Topic<Order> = Topic::new("order-placed");
static SHIPPED: Topic<Order> = Topic::new("order-shipped");

#[subscription(PLACED)]
async fn ship(order: Delivery<Order>) -> Result<()> {
    SHIPPED.publish(&order).await?;
    Ok(())
}

#[bis::test(app = this::app)]
async fn an_event_is_handled_and_causes_another(app: TestApp) -> Result<()> {
    let id = app.publish(&PLACED, &Order::new(7)).await?.id;
    app.settle().await;
    assert_eq!(app.published(&SHIPPED), [Order::new(7)]);
    let [placed, shipped] = [&app.deliveries(&PLACED)[0], &app.deliveries(&SHIPPED)[0]];
    assert_eq!((placed.id(), shipped.cause()), (&id, Some(&id)));
    assert_eq!((shipped.key(), &*shipped.attributes()["region"]), (Some("7"), "eu"));
    assert!(app.dead(&PLACED).is_empty());
    Ok(())
}

// ---- what handlers spawn

static PACKED: Topic<Order> = Topic::new("order-packed");
static LABELLED: Topic<Order> = Topic::new("order-labelled");

#[subscription(PACKED)]
async fn label(order: Delivery<Order>) -> Result<()> {
    bis::spawn(async move {
        bis::time::sleep(Duration::from_secs(90)).await;
        LABELLED.publish(&order).await.unwrap();
    });
    Ok(())
}

#[bis::test(app = this::app)]
async fn what_a_spawned_task_publishes_has_the_handlers_event_as_its_cause(app: TestApp) -> Result<()> {
    let id = app.publish(&PACKED, &Order::new(7)).await?.id;
    app.settle().await;
    let [labelled] = &app.deliveries(&LABELLED)[..] else { panic!("it is waited for") };
    assert_eq!(labelled.cause(), Some(&id));
    Ok(())
}

// ---- what errors say

#[derive(Event, Serialize, Deserialize)]
struct Mail {
    #[event(sensitive)]
    to: String,
    id: u32,
}

static MAILED: Topic<Mail> = Topic::new("mailed");

#[subscription(MAILED)]
async fn send(mail: Delivery<Mail>) -> Result<()> {
    Err(Error::permanent(format!("nobody is at {:?}, mail {}", mail.to, mail.id)))
}

#[bis::test(app = this::app)]
async fn what_is_sensitive_does_not_stand_in_a_dead_letters_error(app: TestApp) -> Result<()> {
    app.publish(&MAILED, &Mail { to: "ann@b.example".into(), id: 12345 }).await?;
    app.publish_bytes(&MAILED, &br#"{"to":{"secret":"ann@b.example"},"id":"ann@b.example"}"#[..]).await?;
    app.settle().await;
    let errors: Vec<String> = app.dead(&MAILED).into_iter().map(|letter| letter.error).collect();
    assert_eq!(errors.len(), 2);
    assert!(
        errors.iter().any(|error| error.contains("nobody is at \"[redacted]\", mail 12345")),
        "{errors:?}"
    );
    assert!(errors.iter().all(|error| !error.contains("ann@")), "{errors:?}");
    Ok(())
}

// ---- retries

static FLAKY: Topic<Order> = Topic::new("flaky");

type Runs = Mutex<Vec<(u32, u32, SystemTime)>>;

fn record(runs: &Runs, order: &Delivery<Order>) {
    runs.lock().unwrap().push((order.event().id, order.attempt(), bis::time::now()));
}

fn of(runs: &Runs, id: u32) -> Vec<(u32, SystemTime)> {
    runs.lock().unwrap().iter().filter(|run| run.0 == id).map(|run| (run.1, run.2)).collect()
}

static FLAKY_RUNS: Runs = Mutex::new(Vec::new());

#[subscription(FLAKY, retry(max = 4, min_backoff = "1s", max_backoff = "5m"))]
async fn fail_at_first(order: Delivery<Order>) -> Result<()> {
    record(&FLAKY_RUNS, &order);
    match order.event().id {
        1 if order.attempt() < 3 => Err(Error::msg("not yet")),
        2 => Err(Error::msg("never")),
        3 => Err(Error::permanent("cannot be")),
        4 => panic!("by accident"),
        5 => {
            bis::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
        6 => std::future::pending().await,
        _ => Ok(()),
    }
}

#[track_caller]
fn check_backoff(runs: &[(u32, SystemTime)], attempts: u32, floors: &[u64]) {
    let counted: Vec<u32> = runs.iter().map(|run| run.0).collect();
    assert_eq!(counted, (1..=attempts).collect::<Vec<_>>());
    for (pair, floor) in runs.windows(2).zip(floors) {
        let wait = pair[1].1.duration_since(pair[0].1).unwrap().as_secs_f64();
        let floor = *floor as f64;
        assert!((floor..=floor * 1.26).contains(&wait), "waited {wait} s where {floor} s was due");
    }
}

#[bis::test(app = this::app)]
async fn an_error_is_retried_with_doubling_waits_until_it_works(app: TestApp) -> Result<()> {
    app.publish(&FLAKY, &Order::new(1)).await?;
    app.settle().await;
    check_backoff(&of(&FLAKY_RUNS, 1), 3, &[1, 2]);
    assert!(app.dead(&FLAKY).is_empty());
    Ok(())
}

#[bis::test(app = this::app)]
async fn an_event_that_never_works_is_a_dead_letter(app: TestApp) -> Result<()> {
    let id = app.publish(&FLAKY, &Order::new(2)).await?.id;
    app.settle().await;
    check_backoff(&of(&FLAKY_RUNS, 2), 4, &[1, 2, 4]);
    let [letter] = &app.dead(&FLAKY)[..] else { panic!("one letter is due") };
    assert_eq!((letter.reason, letter.attempts, &*letter.error), (DeadReason::Exhausted, 4, "never"));
    assert_eq!((&letter.event.id, letter.subscription.as_str()), (&id, "fail-at-first"));
    assert_eq!(&letter.event.data[..], br#"{"id":2,"region":"eu"}"#);
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_permanent_error_is_dead_at_once(app: TestApp) -> Result<()> {
    app.publish(&FLAKY, &Order::new(3)).await?;
    app.settle().await;
    let [letter] = &app.dead(&FLAKY)[..] else { panic!("one letter is due") };
    assert_eq!((letter.reason, letter.attempts, &*letter.error), (DeadReason::Permanent, 1, "cannot be"));
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_panic_counts_as_an_error(app: TestApp) -> Result<()> {
    app.publish(&FLAKY, &Order::new(4)).await?;
    app.publish(&FLAKY, &Order::new(100)).await?;
    app.settle().await;
    let [letter] = &app.dead(&FLAKY)[..] else { panic!("one letter is due") };
    assert_eq!((letter.reason, letter.attempts), (DeadReason::Exhausted, 4));
    assert_eq!(letter.error, "the handler panicked: by accident");
    assert_eq!(of(&FLAKY_RUNS, 100).len(), 1);
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_handler_that_outlives_its_timeout_is_cancelled_and_retried(app: TestApp) -> Result<()> {
    app.publish(&FLAKY, &Order::new(5)).await?;
    app.settle().await;
    // Each run lasts the timeout of 30 s, then comes the wait.
    check_backoff(&of(&FLAKY_RUNS, 5), 4, &[31, 32, 34]);
    let [letter] = &app.dead(&FLAKY)[..] else { panic!("one letter is due") };
    assert_eq!(letter.error, "the handler did not finish within 30s and was cancelled [BIS1042]");
    Ok(())
}

#[bis::test(app = this::app, patience = "200ms")]
async fn a_handler_that_hangs_on_anything_else_runs_into_its_timeout_too(app: TestApp) -> Result<()> {
    app.publish(&FLAKY, &Order::new(6)).await?;
    app.settle().await;
    assert_eq!(app.dead(&FLAKY).len(), 1);
    Ok(())
}

#[bis::test(app = this::app)]
async fn data_that_does_not_decode_is_dead_at_once_bytes_and_all(app: TestApp) -> Result<()> {
    app.publish_bytes(&FLAKY, &b"\xff\x00 no json"[..]).await?;
    app.settle().await;
    let [letter] = &app.dead(&FLAKY)[..] else { panic!("one letter is due") };
    assert_eq!((letter.reason, letter.attempts), (DeadReason::Undecodable, 1));
    assert!(letter.error.starts_with("the data is not a valid `Order` [BIS1040]: "), "{}", letter.error);
    assert_eq!(&letter.event.data[..], b"\xff\x00 no json");
    Ok(())
}

/// With defaults, as everything that is JSON decodes to one.
#[derive(Event, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    text: String,
}

impl Default for Note {
    fn default() -> Self {
        Self { text: "nothing was said".into() }
    }
}

static NOTED: Topic<Note> = Topic::new("noted");
static NOTES: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());

#[subscription(NOTED, retry(max = 2))]
async fn note(note: Delivery<Note>) -> Result<()> {
    NOTES.lock().unwrap().push((note.text.chars().take(20).collect(), note.attempt()));
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_malformed_cloudevent_is_dead_with_its_reason_and_bytes(app: TestApp) -> Result<()> {
    let whole = r#"{"specversion":"1.0","id":"1","source":"/a","type":"Note","data":{"text":"fine"}}"#;
    let wrongs = [
        (r#""specversion":"1.0","#, r#""specversion":"9","#),
        (r#""id":"1""#, r#""id":1"#),
        (r#""/a""#, "{}"),
    ];
    for (right, wrong) in wrongs {
        app.publish_bytes(&NOTED, whole.replace(right, wrong)).await?;
    }
    app.publish_bytes(&NOTED, whole).await?;
    app.settle().await;
    assert_eq!(*NOTES.lock().unwrap(), [("fine".to_owned(), 1)]);
    let letters = app.dead(&NOTED);
    assert_eq!(letters.len(), 3);
    for letter in letters {
        assert_eq!((letter.reason, letter.attempts), (DeadReason::Undecodable, 1));
        assert!(letter.error.starts_with("the message is meant as a CloudEvent, and is not a valid one: `"));
        assert!(letter.event.data.starts_with(br#"{"specversion""#));
    }
    Ok(())
}

static LARGE: Topic<Order> = Topic::new("large");

#[subscription(LARGE, retry(max = 2))]
async fn take_large(order: Delivery<Order>) -> Result<()> {
    Err(Error::msg(order.region.repeat(if order.region.len() < 10 { 100_000 } else { 1 })))
}

#[bis::test(app = this::app)]
async fn a_letter_is_kept_however_large_its_event_and_its_error_are(app: TestApp) -> Result<()> {
    app.publish_bytes(&LARGE, vec![0xff; 700 * 1024]).await?;
    app.publish_bytes(&LARGE, vec![b'7'; 1_048_000]).await?;
    app.publish(&LARGE, &Order { id: 1, region: "x".repeat(520_000) }).await?;
    app.publish(&LARGE, &Order::new(2)).await?;
    app.settle().await;
    let letters = app.dead(&LARGE);
    let mut found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.event.data.len(), letter.attempts, letter.error.len() <= 8192))
        .collect();
    found.sort_unstable();
    let ours = r#"{"id":1,"region":""}"#.len();
    let expected = [(22, 2, true), (700 * 1024, 1, true), (520_000 + ours, 2, true), (1_048_000, 1, true)];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let ends: Vec<&str> =
        letters.iter().map(|letter| &letter.error[letter.error.len().saturating_sub(60)..]).collect();
    assert!(ends.iter().any(|end| end.ends_with("[191856 more bytes were cut]")), "{ends:?}");
    Ok(())
}

// ---- batches

static MANY: Topic<Order> = Topic::new("many");
static BATCHES: Mutex<Vec<Vec<u32>>> = Mutex::new(Vec::new());

#[subscription(MANY, batch(max = 3, wait = "10s"), retry(max = 2))]
async fn take_many(orders: Vec<Delivery<Order>>) -> Result<()> {
    let ids: Vec<u32> = orders.iter().map(|order| order.event().id).collect();
    let bad = ids.iter().map(|id| id % 1000).find(|id| *id >= 666);
    BATCHES.lock().unwrap().push(ids);
    match bad {
        Some(667) => Err(Error::permanent("one is hopeless")),
        Some(668) => panic!("one is terrible"),
        Some(_) => Err(Error::msg("one is bad")),
        None => Ok(()),
    }
}

fn batches(range: std::ops::Range<u32>) -> Vec<Vec<u32>> {
    let mut batches = BATCHES.lock().unwrap().clone();
    batches.retain(|batch| range.contains(&batch[0]));
    batches
}

#[bis::test(app = this::app)]
async fn a_batch_is_full_or_has_waited(app: TestApp) -> Result<()> {
    let before = app.now();
    let orders: Vec<Order> = (1000..1005).map(Order::new).collect();
    MANY.publish_all(&orders).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    app.settle().await;
    assert_eq!(batches(1000..2000), [vec![1000, 1001, 1002], vec![1003, 1004]]);
    assert_eq!(app.now().duration_since(before).unwrap(), Duration::from_secs(10));
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_failed_batch_costs_no_attempt_and_each_of_its_events_runs_alone(app: TestApp) -> Result<()> {
    app.publish(&MANY, &Order::new(2001)).await?;
    app.publish_bytes(&MANY, "no order").await?;
    app.publish(&MANY, &Order::new(2666)).await?;
    app.settle().await;
    let mut runs = batches(2000..3000);
    assert_eq!(runs.remove(0), [2001, 2666]);
    runs.sort();
    assert_eq!(runs, [[2001], [2666], [2666]], "the good one goes on, and the bad one has its two attempts");
    let mut reasons: Vec<_> = app.dead(&MANY).iter().map(|letter| (letter.reason, letter.attempts)).collect();
    reasons.sort_by_key(|(_, attempts)| *attempts);
    assert_eq!(reasons, [(DeadReason::Undecodable, 1), (DeadReason::Exhausted, 2)]);
    Ok(())
}

#[bis::test(app = this::app)]
async fn what_no_retry_cures_or_a_panic_takes_no_neighbour_along(app: TestApp) -> Result<()> {
    for (at, bad) in [3667, 3668].into_iter().enumerate() {
        let orders: Vec<Order> = [3000 + at as u32, bad, 3010 + at as u32].map(Order::new).into();
        MANY.publish_all(&orders).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        app.settle().await;
    }
    let dead: Vec<_> = app.dead(&MANY).iter().map(|letter| (letter.reason, letter.attempts)).collect();
    assert_eq!(dead, [(DeadReason::Permanent, 1), (DeadReason::Exhausted, 2)]);
    Ok(())
}

// ---- bounds

static BUSY: Topic<Order> = Topic::new("busy");
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[subscription(BUSY, concurrency = 3)]
async fn be_busy(_: Order) -> Result<()> {
    let running = NOW.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(running, Ordering::SeqCst);
    bis::time::sleep(Duration::from_secs(1)).await;
    NOW.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[bis::test(app = this::app)]
async fn no_more_handlers_run_than_the_bound(app: TestApp) -> Result<()> {
    let before = app.now();
    for id in 0..20 {
        app.publish(&BUSY, &Order::new(id)).await?;
    }
    app.settle().await;
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
    assert_eq!(app.now().duration_since(before).unwrap(), Duration::from_secs(7));
    Ok(())
}

static HOPELESS: Topic<Order> = Topic::new("hopeless");

#[subscription(HOPELESS, retry(max = 3))]
async fn always_fail(_: Order) -> Result<()> {
    Err(Error::msg("no"))
}

#[bis::test(app = this::app)]
async fn ten_thousand_events_to_a_failing_handler_are_ten_thousand_dead_letters(app: TestApp) -> Result<()> {
    let orders: Vec<Order> = (0..10_000).map(Order::new).collect();
    HOPELESS.publish_all(&orders).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    app.settle().await;
    let letters = app.dead(&HOPELESS);
    assert_eq!(letters.len(), 10_000);
    assert!(letters.iter().all(|letter| letter.attempts == 3));
    Ok(())
}

static PING: Topic<Order> = Topic::new("ping");
static PONG: Topic<Order> = Topic::new("pong");

#[subscription(PING)]
async fn ping(order: Order) -> Result<()> {
    PONG.publish(&order).await?;
    Ok(())
}

#[subscription(PONG)]
async fn pong(order: Order) -> Result<()> {
    PING.publish(&order).await?;
    Ok(())
}

#[bis::test(app = this::app)]
async fn an_endless_cascade_is_named(app: TestApp) -> Result<()> {
    app.publish(&PING, &Order::new(1)).await?;
    let error = app.try_settle().await.unwrap_err().to_string();
    assert!(error.contains("`ping` by `/bis/orders`, `pong` by `/bis/orders`"), "{error}");
    Ok(())
}

// ---- order

static IN_ORDER: Topic<Order> = Topic::new("in-order").ordered();
static ORDER: Mutex<Vec<u32>> = Mutex::new(Vec::new());

#[subscription(IN_ORDER, retry(max = 3))]
async fn follow(order: Delivery<Order>) -> Result<()> {
    if order.event().id == 1 && order.attempt() == 1 {
        return Err(Error::msg("the first one fails at first"));
    }
    ORDER.lock().unwrap().push(order.event().id);
    Ok(())
}

#[bis::test(app = this::app)]
async fn events_of_a_key_wait_for_the_one_that_is_retried(app: TestApp) -> Result<()> {
    for id in [1, 2, 3] {
        IN_ORDER.publish(&Order::new(id)).key("same").await?;
    }
    IN_ORDER.publish(&Order::new(9)).key("other").await?;
    app.settle().await;
    assert_eq!(*ORDER.lock().unwrap(), [9, 1, 2, 3]);
    Ok(())
}

// ---- instances

static SEEN: Mutex<Vec<(std::thread::ThreadId, u32)>> = Mutex::new(Vec::new());
static OWN: Topic<Order> = Topic::new("own");

#[subscription(OWN)]
async fn see(order: Order) -> Result<()> {
    // A spawned task finds the same app; its span of control is the runtime.
    let seen = tokio::spawn(async move {
        SEEN.lock().unwrap().push((std::thread::current().id(), order.id));
        SHIPPED.publish(&order).await
    });
    seen.await??;
    Ok(())
}

#[test]
fn two_apps_in_one_process_do_not_meet() {
    let run = |ids: std::ops::Range<u32>| {
        bis::__private::run_test(
            this::app,
            async move |app: TestApp| {
                for id in ids.clone() {
                    app.publish(&OWN, &Order::new(id)).await?;
                    tokio::task::yield_now().await;
                }
                app.settle().await;
                let shipped: Vec<u32> = app.published(&SHIPPED).iter().map(|order| order.id).collect();
                assert_eq!(shipped, ids.collect::<Vec<_>>());
                Result::<()>::Ok(())
            },
            bis::__private::PATIENCE,
        );
        std::thread::current().id()
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| run(0..500));
        let second = scope.spawn(|| run(500..1000));
        (first.join().unwrap(), second.join().unwrap())
    });
    for (thread, id) in &*SEEN.lock().unwrap() {
        assert_eq!(*thread, if *id < 500 { first } else { second });
    }
}
