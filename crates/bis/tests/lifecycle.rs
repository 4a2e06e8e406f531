//! Functions at the start, at the stop and in the background, on a test's time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use bis::prelude::*;

/// One that a function published, with what it saw.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Seen {
    by: String,
}

/// What functions tell the tests.
pub static SEEN: Topic<Seen> = Topic::new("seen");

async fn seen(by: &str) -> Result<()> {
    SEEN.publish(&Seen { by: by.into() }).await?;
    Ok(())
}

fn names(app: &TestApp) -> Vec<String> {
    app.published(&SEEN).into_iter().map(|seen| seen.by).collect()
}

mod orders {
    use super::*;

    bis::service!("orders");

    #[on_start]
    async fn first() -> Result<()> {
        seen("orders::first").await
    }

    #[on_start]
    async fn a_second() -> Result<()> {
        let price = super::prices::price().await?;
        seen(&format!("orders::a_second at {}", price.0)).await
    }

    #[on_stop]
    pub(super) async fn last() -> Result<()> {
        seen("orders::last").await
    }
}

mod prices {
    use super::*;

    bis::service!("prices");

    #[derive(Event, Serialize, Deserialize)]
    pub(super) struct Counted {
        by: String,
    }

    pub(super) static COUNTED: Topic<Counted> = Topic::new("counted");

    #[on_start]
    async fn load() -> Result<()> {
        seen("prices::load").await
    }

    #[api(GET, "/price", private)]
    pub(super) async fn price() -> Result<Json<u32>> {
        Ok(Json(7))
    }

    /// What is published before it takes events is kept for it.
    #[subscription(SEEN)]
    async fn count(seen: Seen) -> Result<()> {
        COUNTED.publish(&Counted { by: seen.by }).await?;
        Ok(())
    }
}

mod started {
    use super::{orders, prices};
    bis::app!(services: [prices, orders]);
}

#[bis::test(app = started::app)]
async fn functions_run_in_order_before_the_app_is_ready(app: TestApp) -> Result<()> {
    assert_eq!(names(&app), ["prices::load", "orders::first", "orders::a_second at 7"]);
    assert_eq!(app.published(&prices::COUNTED).len(), 0);
    app.settle().await;
    assert_eq!(app.published(&prices::COUNTED).len(), 3);
    // They stay functions.
    orders::last().await?;
    Ok(())
}

mod clock {
    use super::*;

    bis::service!("clock");

    /// Every hour.
    #[background]
    async fn strike() -> Result<()> {
        for hour in 1.. {
            bis::time::sleep(Duration::from_secs(3600)).await;
            seen(&format!("strike {hour}")).await?;
        }
        Ok(())
    }

    /// Waits as a program would that does other things, too.
    #[background]
    async fn half_past() -> Result<()> {
        bis::time::sleep(Duration::from_secs(1800)).await;
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u8>(1);
        while bis::time::timeout(Duration::from_secs(3600), receiver.recv()).await.is_err() {
            seen("half past").await?;
        }
        drop(sender);
        Ok(())
    }

    #[background]
    async fn spawns() -> Result<()> {
        bis::spawn(async {
            loop {
                bis::time::sleep(Duration::from_secs(60)).await;
            }
        });
        bis::stopping().await;
        Ok(())
    }

    /// Fails once, after ten minutes.
    #[subscription(SEEN, retry(max = 2, min_backoff = "10m", max_backoff = "10m"))]
    async fn hear(seen: Delivery<Seen>) -> Result<()> {
        if seen.attempt() == 1 && seen.by == "bell" {
            return Err(Error::msg("too early"));
        }
        Ok(())
    }

    bis::app!(services: [self]);
}

fn passed(since: SystemTime, app: &TestApp) -> Duration {
    app.now().duration_since(since).unwrap()
}

#[bis::test(app = clock::app)]
async fn time_passes_for_background_functions_as_far_as_a_test_says(app: TestApp) -> Result<()> {
    let began = app.now();
    app.advance(Duration::from_secs(3 * 3600)).await;
    assert_eq!(passed(began, &app), Duration::from_secs(3 * 3600));
    assert_eq!(names(&app), ["strike 1", "half past", "strike 2", "half past", "strike 3"]);
    app.advance(Duration::ZERO).await;
    assert_eq!(passed(began, &app), Duration::from_secs(3 * 3600));
    Ok(())
}

#[bis::test(app = clock::app)]
async fn the_waits_of_background_functions_do_not_move_time(app: TestApp) -> Result<()> {
    let began = app.now();
    // Something real is waited for meanwhile.
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20))).await?;
    app.settle().await;
    assert_eq!(passed(began, &app), Duration::ZERO);
    assert_eq!(names(&app), [""; 0]);
    Ok(())
}

#[bis::test(app = clock::app)]
async fn settling_ends_with_the_handlers_and_no_sooner(app: TestApp) -> Result<()> {
    let began = app.now();
    app.publish(&SEEN, &Seen { by: "bell".into() }).await?;
    app.settle().await;
    assert_eq!(app.dead(&SEEN), []);
    assert_eq!(passed(began, &app), Duration::from_secs(600));
    Ok(())
}

#[bis::test(app = clock::app)]
async fn what_is_due_later_than_time_passes_is_not_done(app: TestApp) -> Result<()> {
    SEEN.publish(&Seen { by: "late".into() }).delay(Duration::from_secs(100)).await?;
    app.publish(&SEEN, &Seen { by: "bell".into() }).await?;
    app.advance(Duration::from_secs(60)).await;
    let began = app.now();
    app.settle().await;
    assert_eq!(passed(began, &app), Duration::from_secs(540));
    Ok(())
}

mod failing {
    use super::*;

    bis::service!("failing");

    #[background]
    async fn ends() -> Result<()> {
        seen("ends").await
    }

    #[background(restart(min_backoff = "10s", max_backoff = "10s"))]
    async fn fails() -> Result<()> {
        seen("fails").await?;
        Err(Error::msg("no carrier"))
    }

    #[background(restart(max_backoff = "1h"))]
    async fn panics() -> Result<()> {
        seen("panics").await?;
        panic!("no carrier");
    }

    bis::app!(services: [self]);
}

fn count(app: &TestApp, name: &str) -> usize {
    names(app).iter().filter(|seen| *seen == name).count()
}

#[bis::test(app = failing::app)]
async fn what_ends_runs_again_after_a_wait_that_grows(app: TestApp) -> Result<()> {
    app.settle().await;
    assert_eq!([count(&app, "ends"), count(&app, "fails"), count(&app, "panics")], [1, 1, 1]);
    // 1, 2, 4, 8 and 16 s, a quarter more at most.
    app.advance(Duration::from_millis(31 * 1250)).await;
    assert_eq!([count(&app, "ends"), count(&app, "fails"), count(&app, "panics")], [6, 4, 6]);
    app.advance(Duration::from_secs(24 * 3600)).await;
    assert!((1440..1900).contains(&count(&app, "ends")), "{}", count(&app, "ends"));
    assert!((24..60).contains(&count(&app, "panics")), "{}", count(&app, "panics"));
    Ok(())
}

mod told {
    use super::*;

    bis::service!("told");

    pub(super) static ENDED: AtomicU32 = AtomicU32::new(0);
    pub(super) static DROPPED: AtomicU32 = AtomicU32::new(0);

    #[background]
    async fn listens() -> Result<()> {
        bis::stopping().await;
        ENDED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    struct Dropped;

    impl Drop for Dropped {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[background]
    async fn ignores() -> Result<()> {
        let _dropped = Dropped;
        std::future::pending().await
    }

    bis::app!(services: [self]);
}

#[test]
fn the_end_of_a_test_tells_background_functions_and_drops_them() {
    let seen = Arc::new(AtomicU32::new(0));
    let in_test = seen.clone();
    bis::__private::run_test(
        told::app,
        |_: TestApp| async move {
            tokio::spawn(async move {
                bis::stopping().await;
                in_test.fetch_add(1, Ordering::SeqCst);
            });
        },
        Duration::from_secs(10),
    );
    assert_eq!(told::ENDED.load(Ordering::SeqCst), 1);
    assert_eq!(told::DROPPED.load(Ordering::SeqCst), 1);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_an_app_nothing_stops() {
    let stopping = tokio::time::timeout(Duration::from_millis(20), bis::stopping());
    assert!(stopping.await.is_err());
}

/// Apps that do not start.
mod broken {
    pub(crate) mod fails {
        use bis::prelude::*;

        bis::service!("fails");

        pub(crate) const LINE: u32 = line!() + 2;

        #[on_start]
        async fn warm_up() -> Result<()> {
            Err(Error::msg("no carrier"))
        }

        bis::app!(services: [self]);
    }

    pub(crate) mod panics {
        use bis::prelude::*;

        bis::service!("panics");

        pub(crate) const LINE: u32 = line!() + 2;

        #[on_start]
        async fn warm_up() -> Result<()> {
            panic!("no carrier")
        }

        bis::app!(services: [self]);
    }

    pub(crate) mod hangs {
        use bis::prelude::*;

        bis::service!("hangs");

        pub(crate) const LINE: u32 = line!() + 2;

        #[on_start]
        async fn warm_up() -> Result<()> {
            std::future::pending().await
        }

        bis::app!(services: [self]);
    }

    pub(crate) mod sleeps {
        use bis::prelude::*;

        bis::service!("sleeps");

        #[on_start]
        async fn short() -> Result<()> {
            bis::time::sleep(Duration::from_secs(20)).await;
            Ok(())
        }

        pub(crate) const LINE: u32 = line!() + 2;

        #[on_start]
        async fn warm_up() -> Result<()> {
            bis::time::sleep(Duration::from_secs(11)).await;
            Ok(())
        }

        bis::app!(services: [self]);
    }
}

#[track_caller]
fn check_start(app: fn() -> bis::App, line: u32, end: &str) {
    let run = || bis::__private::run_test(app, async |_: TestApp| (), Duration::from_millis(50));
    let panic = std::panic::catch_unwind(run).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap().replace("\n  caused by: ", ": ");
    let begin =
        "the test failed: the app did not start: cannot start the `on_start` function `lifecycle::broken::";
    let place = format!("::warm_up` (crates/bis/tests/lifecycle.rs:{line}:");
    assert!(text.starts_with(begin) && text.contains(&place) && text.ends_with(end), "{text}");
}

#[test]
fn a_function_that_fails_at_the_start_is_named() {
    check_start(broken::fails::app, broken::fails::LINE, "): no carrier");
    check_start(broken::panics::app, broken::panics::LINE, "): it panicked: no carrier");
}

#[test]
fn a_function_that_takes_too_long_at_the_start_is_named() {
    let end = "it did not finish within the 30s that the app has to start; raise `app.start_within` if it needs longer [BIS1065]";
    check_start(broken::hangs::app, broken::hangs::LINE, end);
    check_start(broken::sleeps::app, broken::sleeps::LINE, end);
}
