//! Which code of users has each thread now, so that what blocks its thread can be named. It ends none: that cannot be done.

use std::{
    cell::LazyCell,
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use bis_core::format_duration;

/// Code that has a thread for this long without awaiting anything blocks it.
const BLOCKED: Duration = Duration::from_secs(1);

/// How often the same code is warned about.
const PAUSE: Duration = Duration::from_secs(60);

/// Every thread that ever ran code of users and has not ended.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: LazyCell<Arc<Thread>> = LazyCell::new(|| {
        let thread = Arc::new(Thread::default());
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&thread));
        thread
    });
}

#[derive(Default)]
struct Thread(Mutex<Option<Run>>);

/// Code that has a thread.
struct Run {
    whose: Arc<dyn Display + Send + Sync>,
    since: Instant,
}

impl Thread {
    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code of `whose` has this thread until the guard is dropped.
pub(crate) fn enter(whose: Arc<dyn Display + Send + Sync>) -> Entered {
    let run = Run { whose, since: Instant::now() };
    // A thread that ends watches nothing any more.
    THREAD.try_with(|thread| *thread.run() = Some(run)).ok();
    Entered
}

/// Until this is dropped, the code has the thread.
pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        THREAD.try_with(|thread| *thread.run() = None).ok();
    }
}

/// What was logged about blocked threads.
#[derive(Default)]
pub(crate) struct Threads {
    /// By its name; as many as an app has functions.
    warned: HashMap<String, Instant>,
}

impl Threads {
    /// Names what blocks a thread now.
    pub(crate) fn warn_of_blocked(&mut self) {
        let threads: Vec<Arc<Thread>> = {
            let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
            threads.iter().filter_map(Weak::upgrade).collect()
        };
        for thread in threads {
            let blocked = thread.run().as_ref().and_then(|run| {
                let held = run.since.elapsed();
                (held >= BLOCKED).then(|| (run.whose.to_string(), held))
            });
            let Some((whose, held)) = blocked else { continue };
            if self.warned.get(&whose).is_some_and(|warned| warned.elapsed() < PAUSE) {
                continue;
            }
            let held_for = format_duration(Duration::from_secs(held.as_secs()));
            tracing::warn!(
                held_for,
                "{whose} blocks its thread: it awaits nothing, and other handlers and requests wait for it; move what takes long into `tokio::task::spawn_blocking`"
            );
            self.warned.insert(whose, Instant::now());
        }
    }
}
