//! Tests with chaos: what it does to handlers, what it never does, and that a seed repeats.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bis::{Chaos, PublishError, chaos::Faults, prelude::*};

bis::service!("bank");

mod this {
    bis::app!(services: [crate]);
}

/// Money that moves. The tests run at once and share these statics, so each has a number of its own.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
struct Transfer {
    test: u64,
    #[event(key)]
    account: u32,
    number: u32,
}

static SENT: Topic<Transfer> = Topic::new("sent");
static BOOKED: Topic<Transfer> = Topic::new("booked").ordered();
static NOTED: Topic<Transfer> = Topic::new("noted");

/// Of each test: how often each transfer was booked, and in which order those of each account were booked first.
static BOOKINGS: Mutex<BTreeMap<u64, Vec<(Transfer, u32)>>> = Mutex::new(BTreeMap::new());
static NOTES: Mutex<BTreeMap<u64, Vec<u32>>> = Mutex::new(BTreeMap::new());

fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[subscription(SENT, retry(max = 5))]
async fn pass_on(transfer: Transfer) -> Result<()> {
    NOTED.publish(&transfer).await?;
    Ok(())
}

#[subscription(BOOKED)]
async fn book(transfer: Delivery<Transfer>) -> Result<()> {
    bis::time::sleep(Duration::from_millis(5)).await;
    locked(&BOOKINGS).entry(transfer.test).or_default().push(((*transfer).clone(), transfer.attempt()));
    Ok(())
}

#[subscription(NOTED, concurrency = 1)]
async fn note(transfer: Transfer) -> Result<()> {
    locked(&NOTES).entry(transfer.test).or_default().push(transfer.number);
    Ok(())
}

#[api(POST, "/transfers", public)]
async fn send(Json(transfer): Json<Transfer>) -> Result<()> {
    SENT.publish(&transfer).await?;
    Ok(())
}

fn transfers(test: u64) -> impl Iterator<Item = Transfer> {
    (0..60).map(move |number| Transfer { test, account: number % 3, number })
}

fn forget(test: u64) {
    locked(&BOOKINGS).remove(&test);
    locked(&NOTES).remove(&test);
}

#[bis::test(app = this::app, chaos = 0..40)]
async fn nothing_is_lost_and_keys_keep_their_order(app: TestApp) -> Result<()> {
    forget(1);
    for transfer in transfers(1) {
        app.publish(&BOOKED, &transfer).await?;
        app.post::<()>("/transfers", &transfer).await?;
    }
    app.settle().await;

    let bookings = locked(&BOOKINGS).remove(&1).unwrap();
    let mut first: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (Transfer { account, number, .. }, _) in &bookings {
        let of_account = first.entry(*account).or_default();
        if !of_account.contains(number) {
            of_account.push(*number);
        } else {
            // Again, but never after a later one was begun: that would wait behind it.
            assert_eq!(of_account.last(), Some(number), "{bookings:?}");
        }
    }
    for (account, numbers) in first {
        assert_eq!(numbers, (0..60).filter(|number| number % 3 == account).collect::<Vec<_>>());
    }
    let notes: BTreeSet<u32> = locked(&NOTES).remove(&1).unwrap().into_iter().collect();
    assert_eq!(notes.len(), 60);
    for dead in [app.dead(&SENT), app.dead(&BOOKED), app.dead(&NOTED)] {
        assert_eq!(dead, []);
    }
    assert!(app.faults().total() > 30, "{}", app.faults());
    Ok(())
}

#[bis::test(app = this::app, chaos = Chaos::only(3).duplicates(1.0))]
async fn every_first_ack_may_be_lost(app: TestApp) -> Result<()> {
    forget(2);
    for transfer in transfers(2) {
        app.publish(&BOOKED, &transfer).await?;
    }
    app.settle().await;
    let bookings = locked(&BOOKINGS).remove(&2).unwrap();
    let attempts: Vec<u32> = bookings.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts.len(), 120);
    assert_eq!((attempts.iter().min(), attempts.iter().max()), (Some(&1), Some(&2)));
    assert_eq!((app.faults().duplicates, app.faults().total()), (60, 60));
    Ok(())
}

#[bis::test(app = this::app, chaos = Chaos::only(4).restarts(0.2))]
async fn a_restart_takes_back_what_is_in_flight(app: TestApp) -> Result<()> {
    forget(3);
    let before = app.now();
    for transfer in transfers(3) {
        app.publish(&BOOKED, &Transfer { account: transfer.number, ..transfer }).await?;
    }
    app.settle().await;
    let bookings = locked(&BOOKINGS).remove(&3).unwrap();
    let Faults { restarts, .. } = app.faults();
    assert!(restarts > 2, "{restarts}");
    assert!(bookings.len() > 60 + restarts as usize, "{} runs, {restarts} restarts", bookings.len());
    assert!(bookings.iter().all(|(_, attempt)| *attempt <= 2), "{bookings:?}");
    assert!(app.now().duration_since(before).unwrap() > Duration::from_millis(100));
    Ok(())
}

#[bis::test(app = this::app, chaos = Chaos::only(5).delays(0.5).reordering(1.0))]
async fn events_without_order_overtake_each_other(app: TestApp) -> Result<()> {
    forget(4);
    for transfer in transfers(4) {
        app.publish(&NOTED, &transfer).await?;
    }
    app.settle().await;
    let notes = locked(&NOTES).remove(&4).unwrap();
    assert_eq!(notes.len(), 60);
    assert!(!notes.is_sorted(), "{notes:?}");
    Ok(())
}

#[bis::test(app = this::app, chaos = Chaos::only(6).publish_errors(1.0))]
async fn publishes_fail_in_first_attempts_of_handlers_alone(app: TestApp) -> Result<()> {
    forget(5);
    for transfer in transfers(5) {
        app.post::<()>("/transfers", &transfer).await?;
    }
    app.settle().await;
    let notes = locked(&NOTES).remove(&5).unwrap();
    assert_eq!(app.faults().publish_errors, 60);
    // About one failed publish in four was taken all the same.
    assert!((65..100).contains(&notes.len()), "{}", notes.len());
    assert_eq!(app.published(&NOTED).len(), notes.len());
    assert_eq!(notes.into_iter().collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(app.dead(&SENT), []);
    Ok(())
}

#[bis::test(app = this::app, chaos = Chaos::only(7).publish_errors(1.0).requests_too())]
async fn requests_fail_where_that_is_asked_for(app: TestApp) -> Result<()> {
    let transfer = transfers(6).next().unwrap();
    let refused = app.publish(&SENT, &transfer).await.unwrap_err();
    assert!(matches!(refused, PublishError::Broker { .. }), "{refused}");
    let refused = app.post::<()>("/transfers", &transfer).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    Ok(())
}

/// What happened in a run, to compare it with another one.
type History = (Vec<(Transfer, u32)>, Vec<u32>, Faults, Duration);

static HISTORIES: Mutex<Vec<History>> = Mutex::new(Vec::new());

#[test]
fn a_seed_repeats() {
    for _ in 0..2 {
        bis::__private::run_chaos_test(
            "a_seed_repeats",
            this::app,
            |app| async move { history(&app).await },
            bis::__private::PATIENCE,
            12,
        );
    }
    let histories = std::mem::take(&mut *locked(&HISTORIES));
    let [.., first, second] = &histories[..] else { panic!("two runs") };
    assert_eq!(first, second);
}

async fn history(app: &TestApp) -> Result<()> {
    let start = app.now();
    for transfer in transfers(7) {
        app.publish(&SENT, &transfer).await?;
        app.publish(&BOOKED, &transfer).await?;
    }
    app.settle().await;
    let bookings = locked(&BOOKINGS).remove(&7).unwrap();
    let notes = locked(&NOTES).remove(&7).unwrap();
    let took = app.now().duration_since(start).unwrap();
    locked(&HISTORIES).push((bookings, notes, app.faults(), took));
    Ok(())
}

#[bis::test(app = this::app)]
async fn without_chaos_nothing_happens(app: TestApp) -> Result<()> {
    app.publish(&BOOKED, &transfers(8).next().unwrap()).await?;
    app.settle().await;
    assert_eq!(app.faults(), Faults::default());
    Ok(())
}

#[bis::test(app = this::app, chaos = 0..20)]
#[should_panic(expected = "booked once")]
async fn a_handler_that_is_not_idempotent_is_found(app: TestApp) -> Result<()> {
    forget(9);
    for transfer in transfers(9).take(3) {
        app.publish(&BOOKED, &transfer).await?;
    }
    app.settle().await;
    assert_eq!(locked(&BOOKINGS).remove(&9).unwrap().len(), 3, "each is booked once");
    Ok(())
}
