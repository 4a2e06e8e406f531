//! Which handler has each thread now, so that one that blocks its thread can be named. It ends none: that cannot be done.

use std::{
    cell::LazyCell,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use bis_core::format_duration;

use super::Subscription;

/// A handler that has a thread for so long without awaiting anything blocks it.
const BLOCKED: Duration = Duration::from_secs(1);

/// How often one subscription is warned of.
const PAUSE: Duration = Duration::from_secs(60);

/// Every thread that ever ran a handler and has not ended.
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

/// A handler that has a thread.
struct Run {
    subscription: Arc<Subscription>,
    since: Instant,
}

impl Thread {
    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler of a subscription has this thread until the guard is dropped.
pub(super) fn enter(subscription: &Arc<Subscription>) -> Entered {
    let run = Run { subscription: subscription.clone(), since: Instant::now() };
    // A thread that ends watches nothing any more.
    THREAD.try_with(|thread| *thread.run() = Some(run)).ok();
    Entered
}

/// Until this is dropped, a handler has the thread.
pub(super) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        THREAD.try_with(|thread| *thread.run() = None).ok();
    }
}

/// What was said of blocked threads.
#[derive(Default)]
pub(super) struct Threads {
    /// By subscription; as many as an app has.
    warned: HashMap<String, Instant>,
}

impl Threads {
    /// Names the handlers that block a thread now.
    pub(super) fn warn_of_blocked(&mut self) {
        let threads: Vec<Arc<Thread>> = {
            let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
            threads.iter().filter_map(Weak::upgrade).collect()
        };
        for thread in threads {
            let blocked = thread.run().as_ref().and_then(|run| {
                let held = run.since.elapsed();
                (held >= BLOCKED).then(|| (run.subscription.to_string(), held))
            });
            let Some((subscription, held)) = blocked else { continue };
            if self.warned.get(&subscription).is_some_and(|warned| warned.elapsed() < PAUSE) {
                continue;
            }
            let held_for = format_duration(Duration::from_secs(held.as_secs()));
            tracing::warn!(
                subscription,
                held_for,
                "the handler blocks its thread: it awaits nothing, and other handlers and requests wait for it; move what takes long into `tokio::task::spawn_blocking`"
            );
            self.warned.insert(subscription, Instant::now());
        }
    }
}
