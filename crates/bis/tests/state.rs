//! Resources: created when an app starts, its own for each app, replaced in tests, dropped when it stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(dead_code, reason = "some resources are only created")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bis::{NoResource, prelude::*};

/// An app whose resources tell what happens to them.
mod shop {
    use super::*;

    bis::service!("shop");
    bis::app!(services: [super::shop]);

    /// What happened to the resources of one app, which is a resource too, and replaced by each test.
    #[derive(Debug, Default)]
    pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

    impl Diary {
        async fn begin() -> Result<Self> {
            Ok(Self::default())
        }

        pub(crate) fn write(&self, text: impl Into<String>) {
            self.0.lock().unwrap().push(text.into());
        }

        /// The diary, and its pages for when it is gone.
        pub(crate) fn with_pages() -> (Self, Pages) {
            let diary = Self::default();
            let pages = Pages(diary.0.clone());
            (diary, pages)
        }
    }

    pub(crate) struct Pages(Arc<Mutex<Vec<String>>>);

    impl Pages {
        #[track_caller]
        pub(crate) fn check(&self, expected: &[&str]) {
            assert_eq!(self.0.lock().unwrap().drain(..).collect::<Vec<_>>(), expected);
        }
    }

    pub(crate) static DIARY: Resource<Diary> = bis::resource!(Diary::begin);

    pub(crate) struct Ledger {
        pub(crate) pool: String,
        diary: Arc<Diary>,
    }

    impl Ledger {
        async fn open() -> Result<Ledger> {
            let diary = DIARY.ready().await?;
            diary.write("ledger begins");
            let pool = POOL.ready().await?;
            diary.write("ledger is there");
            Ok(Ledger { pool: pool.name.clone(), diary })
        }
    }

    impl Drop for Ledger {
        fn drop(&mut self) {
            self.diary.write("ledger is dropped");
        }
    }

    pub(crate) static LEDGER: Resource<Ledger> = bis::resource!(Ledger::open);

    pub(crate) struct Pool {
        pub(crate) name: String,
        diary: Arc<Diary>,
    }

    impl Drop for Pool {
        fn drop(&mut self) {
            self.diary.write("pool is dropped");
        }
    }

    pub(crate) static POOL: Resource<Pool> = bis::resource!(async || {
        let diary = DIARY.ready().await?;
        bis::time::sleep(Duration::from_secs(1)).await;
        diary.write("pool is there");
        Ok::<_, Error>(Pool { name: "real".into(), diary })
    });

    pub(crate) fn fake(number: u32) -> Pool {
        Pool { name: format!("fake {number}"), diary: Arc::default() }
    }

    #[api(GET, "/pool", public)]
    async fn pool() -> Result<String> {
        Ok(POOL.get().name.clone())
    }

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Paid {
        pub(crate) sum: u32,
    }

    pub(crate) static PAID: Topic<Paid> = Topic::new("paid");

    #[subscription(PAID)]
    async fn book(paid: Paid) -> Result<()> {
        tokio::spawn(async move { DIARY.get().write(format!("booked {}", paid.sum)) }).await?;
        Ok(())
    }
}

use shop::{DIARY, Diary, LEDGER, POOL};

#[bis::test(app = shop::app)]
async fn what_a_constructor_needs_is_created_first(app: TestApp) -> Result<()> {
    assert_eq!(LEDGER.get().pool, "real");
    assert_eq!(app.get::<String>("/pool").await?, "real");
    Ok(())
}

#[bis::test]
async fn handlers_endpoints_and_tasks_read_it() -> Result<()> {
    let (diary, pages) = Diary::with_pages();
    let app = TestApp::builder(shop::app()).with(&DIARY, diary).start().await?;
    pages.check(&["ledger begins", "pool is there", "ledger is there"]);
    app.publish(&shop::PAID, &shop::Paid { sum: 7 }).await?;
    app.settle().await;
    pages.check(&["booked 7"]);
    assert!(Arc::ptr_eq(&POOL.get(), &POOL.ready().await?));
    Ok(())
}

#[bis::test(app = shop::app, with(shop::DIARY = Diary::default(), shop::POOL = shop::fake(3)))]
async fn a_test_puts_other_values_in_their_place(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<String>("/pool").await?, "fake 3");
    assert_eq!(LEDGER.get().pool, "fake 3");
    Ok(())
}

#[bis::test(app = shop::app, with(shop::POOL = shop::fake(3)), chaos = 0..2)]
async fn each_run_with_chaos_has_its_own(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<String>("/pool").await?, "fake 3");
    Ok(())
}

/// Where a resource is that an error names, without its column.
fn without_places(error: &impl std::fmt::Display) -> String {
    let text = format!("{error:#}");
    let mut parts = text.split(" (crates/bis/tests/state.rs:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, rest| {
        let (place, rest) = rest.split_once(')').unwrap();
        assert!(place.split(':').all(|number| number.parse::<u32>().is_ok()), "{place}");
        text + " (HERE)" + rest
    })
}

/// Starts an app that cannot start, and compares what it says.
async fn refused(app: bis::App, expected: &str) {
    let error = TestApp::builder(app).start().await.unwrap_err();
    assert_eq!(without_places(&error), format!("the app did not start: {expected}"));
}

mod failing {
    use super::*;

    bis::service!("failing");
    bis::app!(services: [super::failing]);

    pub(crate) static AFTER: Resource<u8> = bis::resource!(async || {
        BROKEN.ready().await?;
        Ok::<_, Error>(7_u8)
    });
    pub(crate) static BROKEN: Resource<u8> =
        bis::resource!(async || Err::<u8, _>(std::io::Error::other("connection refused")));
}

#[bis::test]
async fn one_that_fails_is_named_and_so_is_what_needs_it() {
    refused(
        failing::app(),
        "cannot start the resources: the resource `state::failing::AFTER` (HERE) was not created: \
         the resource `state::failing::BROKEN` (HERE) was not created: connection refused [BIS1063]",
    )
    .await;
    // Nothing of it is left, and the test can go on with another app.
    TestApp::builder(failing::app()).with(&failing::BROKEN, 1).start().await.unwrap();
    assert_eq!(*failing::AFTER.get(), 7);
}

mod panicking {
    use super::*;

    bis::service!("panicking");
    bis::app!(services: [super::panicking]);

    pub(crate) static PANICS: Resource<u8> = bis::resource!(explode);

    fn explode() -> std::future::Ready<Result<u8>> {
        panic!("no such carrier")
    }
}

#[bis::test]
async fn one_that_panics_is_named() {
    refused(
        panicking::app(),
        "cannot start the resources: the resource `state::panicking::PANICS` (HERE) was not created: \
         its constructor panicked: no such carrier [BIS1063]",
    )
    .await;
}

mod hanging {
    use super::*;

    bis::service!("hanging");
    bis::app!(services: [super::hanging]);

    pub(crate) static FIRST: Resource<Guard> = bis::resource!(async || Ok::<_, Error>(Guard));
    pub(crate) static WAITS: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*HANGS.ready().await?));
    pub(crate) static HANGS: Resource<u8> = bis::resource!(std::future::pending::<Result<u8>>);

    pub(crate) static DROPPED: AtomicUsize = AtomicUsize::new(0);

    pub(crate) struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[bis::test(patience = "10ms")]
async fn one_that_hangs_is_named_and_those_before_it_are_dropped() {
    refused(
        hanging::app(),
        "cannot start the resource `state::hanging::HANGS` (HERE): it did not finish within the 30s that \
         the app has to start; raise `app.start_within` if it needs longer [BIS1065]",
    )
    .await;
    while hanging::DROPPED.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
}

mod circle {
    use super::*;

    bis::service!("circle");
    bis::app!(services: [super::circle]);

    pub(crate) static ONE: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*TWO.ready().await?));
    pub(crate) static TWO: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*ONE.ready().await?));
}

#[bis::test]
async fn two_that_need_each_other_are_an_error_with_both_places() {
    refused(
        circle::app(),
        "cannot start the resources: the resource `state::circle::ONE` (HERE) was not created: the resource \
         `state::circle::TWO` (HERE) was not created: the resource `state::circle::ONE` (HERE) needs \
         `state::circle::TWO` (HERE), which needs the first again; create what they share in a third \
         resource, or take the other with `get()` when it is needed [BIS1064]",
    )
    .await;
}

mod narcissus {
    use super::*;

    bis::service!("narcissus");
    bis::app!(services: [super::narcissus]);

    pub(crate) static SELF: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*SELF.ready().await?));
}

#[bis::test]
async fn one_that_needs_itself_is_an_error() {
    refused(
        narcissus::app(),
        "cannot start the resources: the resource `state::narcissus::SELF` (HERE) was not created: the \
         resource `state::narcissus::SELF` (HERE) needs itself; create what they share in a third resource, \
         or take the other with `get()` when it is needed [BIS1064]",
    )
    .await;
}

/// Two branches of one constructor, each of which begins what the other one needs.
mod crossed {
    use super::*;

    bis::service!("crossed");
    bis::app!(services: [super::crossed]);

    pub(crate) static A_BOTH: Resource<u8> = bis::resource!(async || {
        let (left, right) = tokio::join!(LEFT.ready(), RIGHT.ready());
        Ok::<_, Error>(*left? + *right?)
    });
    pub(crate) static LEFT: Resource<u8> = bis::resource!(async || {
        tokio::task::yield_now().await;
        Ok::<_, Error>(*RIGHT.ready().await?)
    });
    pub(crate) static RIGHT: Resource<u8> = bis::resource!(async || {
        tokio::task::yield_now().await;
        Ok::<_, Error>(*LEFT.ready().await?)
    });
}

#[bis::test]
async fn a_circle_over_two_branches_is_an_error_and_does_not_hang() {
    let error = TestApp::builder(crossed::app()).start().await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("which needs the first again") && text.contains("[BIS1064]"), "{text}");
}

/// What two of them need is created once, though both ask for it at once.
mod diamond {
    use super::*;

    bis::service!("diamond");
    bis::app!(services: [super::diamond]);

    pub(crate) static MADE: AtomicUsize = AtomicUsize::new(0);

    pub(crate) static A_TOP: Resource<u8> = bis::resource!(async || {
        let (left, right) = tokio::join!(LEFT.ready(), RIGHT.ready());
        Ok::<_, Error>(*left? + *right?)
    });
    pub(crate) static LEFT: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*POINT.ready().await? + 1));
    pub(crate) static RIGHT: Resource<u8> =
        bis::resource!(async || Ok::<_, Error>(*POINT.ready().await? + 2));
    pub(crate) static POINT: Resource<u8> = bis::resource!(async || {
        tokio::task::yield_now().await;
        MADE.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Error>(10_u8)
    });
}

#[bis::test(app = diamond::app)]
async fn what_two_need_at_once_is_created_once(_app: TestApp) {
    assert_eq!(*diamond::A_TOP.get(), 23);
    assert_eq!(diamond::MADE.load(Ordering::Relaxed), 1);
}

/// A constructor that does not wait for what it needs.
mod early {
    use super::*;

    bis::service!("early");
    bis::app!(services: [super::early]);

    pub(crate) static A_EARLY: Resource<u8> = bis::resource!(async || Ok::<_, Error>(*LATER.try_get()?));
    pub(crate) static LATER: Resource<u8> = bis::resource!(async || Ok::<_, Error>(1_u8));
}

#[bis::test]
async fn one_that_is_used_too_early_says_what_to_write() {
    refused(
        early::app(),
        "cannot start the resources: the resource `state::early::A_EARLY` (HERE) was not created: the resource \
         `state::early::LATER` was used before it was created; a constructor that needs it takes it with \
         `.ready().await?`, which creates it first [BIS1062]",
    )
    .await;
}

#[test]
fn without_an_app_the_error_says_why() {
    let absent = POOL.try_get().err().unwrap();
    assert!(matches!(&absent, NoResource::NoRuntime { resource } if resource == "state::shop::POOL"));
    assert!(absent.to_string().ends_with(" [BIS1001]"), "{absent}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let absent = POOL.try_get().err().unwrap();
        assert!(matches!(absent, NoResource::NotStarted { .. }), "{absent}");
        assert!(absent.to_string().ends_with(" [BIS1002]"), "{absent}");
        assert_eq!(format!("{:#}", POOL.ready().await.err().unwrap()), absent.to_string());
    });
    let panicked = std::panic::catch_unwind(|| POOL.get()).err().unwrap();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("the resource `state::shop::POOL` was used on a thread without"), "{text}");
}

#[bis::test(app = failing::app, with(failing::BROKEN = 1))]
async fn one_of_a_service_that_does_not_run_here_says_so(_app: TestApp) {
    let absent = POOL.try_get().err().unwrap();
    assert!(matches!(&absent, NoResource::Elsewhere { service, .. } if service == "shop"), "{absent}");
    assert_eq!(format!("{:#}", POOL.ready().await.err().unwrap()), absent.to_string());
    // A thread that has no runtime, in the middle of a test.
    let absent = std::thread::spawn(|| failing::AFTER.try_get().err()).join().unwrap().unwrap();
    assert!(matches!(absent, NoResource::NoRuntime { .. }), "{absent}");
    let handle = tokio::runtime::Handle::current();
    let value = std::thread::spawn(move || {
        let _entered = handle.enter();
        *failing::AFTER.get()
    });
    assert_eq!(value.join().unwrap(), 7);
    // Another runtime, in the middle of a test.
    let nested = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { failing::AFTER.try_get().err() })
    });
    assert!(matches!(nested.await.unwrap(), Some(NoResource::NotStarted { .. })));
}

/// Runs what `#[bis::test]` expands to, so that its end can be looked at.
fn run_to_the_end<F: Future<Output = ()>>(
    replace: impl FnOnce(&mut bis::__private::Replaced),
    test: impl FnOnce(TestApp) -> F,
) {
    bis::__private::run_test_with(shop::app, replace, test, bis::__private::PATIENCE);
}

#[test]
fn they_are_dropped_in_the_reverse_order_of_their_creation() {
    let (diary, pages) = Diary::with_pages();
    run_to_the_end(|replaced| replaced.put(&DIARY, diary), async |_| ());
    pages.check(&[
        "ledger begins",
        "pool is there",
        "ledger is there",
        "ledger is dropped",
        "pool is dropped",
    ]);
}

#[test]
fn what_is_read_after_the_stop_is_not_there() {
    let mut held = None;
    run_to_the_end(|_| (), async |_| held = Some(POOL.get()));
    let pool = held.unwrap();
    assert_eq!((&*pool.name, Arc::strong_count(&pool)), ("real", 1));
}

/// A resource that tells apps apart.
mod counted {
    use super::*;

    bis::service!("counted");
    bis::app!(services: [super::counted]);

    pub(crate) static CREATED: AtomicUsize = AtomicUsize::new(0);

    pub(crate) static NUMBER: Resource<usize> =
        bis::resource!(async || Ok::<_, Error>(CREATED.fetch_add(1, Ordering::Relaxed)));

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Asked;

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Answered(pub(crate) usize);

    pub(crate) static ASKED: Topic<Asked> = Topic::new("asked");
    pub(crate) static ANSWERED: Topic<Answered> = Topic::new("answered");

    #[subscription(ASKED)]
    async fn answer(_: Asked) -> Result<()> {
        tokio::task::yield_now().await;
        ANSWERED.publish(&Answered(*NUMBER.get())).await?;
        Ok(())
    }
}

#[test]
fn a_hundred_tests_at_once_never_meet() {
    let barrier = std::sync::Barrier::new(100);
    let test = async |app: TestApp| {
        let own = *counted::NUMBER.get();
        barrier.wait();
        for _ in 0..20 {
            app.publish(&counted::ASKED, &counted::Asked).await.unwrap();
        }
        app.settle().await;
        let answers = app.published(&counted::ANSWERED);
        assert_eq!(answers.len(), 20);
        assert!(answers.iter().all(|answer| answer.0 == own));
        assert_eq!(*counted::NUMBER.get(), own);
    };
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                bis::__private::run_test(counted::app, test, Duration::from_secs(60));
            });
        }
    });
    assert_eq!(counted::CREATED.load(Ordering::Relaxed), 100);
}

/// What can be replaced by a value of another type.
mod dynamic {
    use super::*;

    bis::service!("dynamic");
    bis::app!(services: [super::dynamic]);

    pub(crate) trait Carrier: Send + Sync {
        fn name(&self) -> &'static str;
    }

    struct Real;

    impl Carrier for Real {
        fn name(&self) -> &'static str {
            "real"
        }
    }

    pub(crate) struct Fake;

    impl Carrier for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
    }

    async fn connect() -> Result<Box<dyn Carrier>> {
        Ok(Box::new(Real))
    }

    pub(crate) static CARRIER: Resource<Box<dyn Carrier>> = bis::resource!(connect);
}

#[bis::test(app = dynamic::app, with(dynamic::CARRIER = Box::new(dynamic::Fake)))]
async fn a_trait_object_is_replaced_by_another_type(_app: TestApp) {
    assert_eq!(dynamic::CARRIER.get().name(), "fake");
}

#[bis::test]
async fn a_test_has_one_app_at_a_time() {
    let _first = TestApp::builder(dynamic::app()).start().await.unwrap();
    assert_eq!(dynamic::CARRIER.get().name(), "real");
    refused(counted::app(), "a test has one app at a time, and this one has an app already").await;
}

#[tokio::test]
async fn a_builder_needs_a_test_of_ours() {
    let error = TestApp::builder(counted::app()).start().await.unwrap_err();
    assert!(error.to_string().starts_with("`TestApp::builder` starts an app in a test under `#[bis::test]`"));
}

/// A constructor whose type the compiler completes in another way than the static's.
mod mistyped {
    use super::*;

    bis::service!("mistyped");
    bis::app!(services: [super::mistyped]);

    pub(crate) static NUMBER: Resource<u8> = bis::resource!(async || Ok::<_, Error>(1));
}

#[bis::test(app = mistyped::app)]
async fn a_number_without_a_type_says_what_to_write(_app: TestApp) {
    let panicked = std::panic::catch_unwind(|| mistyped::NUMBER.get()).err().unwrap();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert!(
        text.ends_with("does not create `u8`: write the type of every number in it, as in `7_u64`"),
        "{text}"
    );
}

/// Resources whose destructors do what they must not.
mod fragile {
    use super::*;

    bis::service!("fragile");
    bis::app!(services: [super::fragile]);

    pub(crate) static FIRST: Resource<Quiet> = bis::resource!(async || Ok::<_, Error>(Quiet));
    pub(crate) static SECOND: Resource<Panics> = bis::resource!(async || Ok::<_, Error>(Panics));

    pub(crate) static DROPPED: AtomicUsize = AtomicUsize::new(0);

    pub(crate) struct Quiet;

    impl Drop for Quiet {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("not like this");
        }
    }
}

#[test]
fn a_destructor_that_panics_keeps_no_other_from_being_dropped() {
    bis::__private::run_test(fragile::app, async |_: TestApp| (), bis::__private::PATIENCE);
    assert_eq!(fragile::DROPPED.load(Ordering::Relaxed), 1);
}
