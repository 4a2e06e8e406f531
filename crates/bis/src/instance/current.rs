//! Which app the calling code belongs to: that of the tokio runtime in which it runs, or else the app of the process. A
//! thread keeps what it found until an app starts or stops, so a lookup takes no lock.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::LocalKey,
};

use bis_core::codes;
use tokio::runtime::{Handle, Id};

use super::Instance;

/// The code runs outside a running app. `{:?}` shows the same text as `{}`, for those who meet it through `unwrap`.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoApp {
    /// There is no tokio runtime on this thread.
    #[error(
        "a topic was used on a thread without the app's runtime; take `tokio::runtime::Handle::current()` in a handler and `block_on` or `spawn` with it here [{}]",
        codes::NO_RUNTIME
    )]
    NoRuntime,
    /// There is a runtime, and no app was started.
    #[error(
        "a topic was used before its app was started; start the app with `app().main()` in `main`, or write the test with `#[bis::test(app = ..)]` in place of `#[tokio::test]` [{}]",
        codes::NOT_STARTED
    )]
    NotStarted,
}

impl fmt::Debug for NoApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Every running app of this process.
struct Running {
    by_runtime: Option<HashMap<Id, Arc<Instance>>>,
    default: Option<Arc<Instance>>,
}

static RUNNING: RwLock<Running> = RwLock::new(Running { by_runtime: None, default: None });

/// How often [`RUNNING`] has changed: what a thread found before does not count any more. Changes while the lock is held.
static CHANGES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// It does not keep the app alive: a thread may outlive it.
    static CURRENT: PerRuntime<Weak<Instance>> = const { PerRuntime::new() };
}

/// The app of the runtime that the calling code runs in, or else the one that `App::main` runs.
pub(crate) fn current() -> Result<Arc<Instance>, NoApp> {
    // It is gone when the app stopped between the two steps.
    PerRuntime::with(&CURRENT, Arc::downgrade, Weak::upgrade)?.ok_or(NoApp::NotStarted)
}

/// What a thread keeps of the app of the runtime in which it ran last.
pub(crate) struct PerRuntime<T>(RefCell<Option<Kept<T>>>);

struct Kept<T> {
    runtime: Id,
    /// [`CHANGES`] when it was found.
    changes: u64,
    value: T,
}

impl<T> PerRuntime<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Looks at what is kept of the current app; where nothing of it is, it is made first. Neither function may look for an app
    /// itself.
    pub(crate) fn with<R>(
        here: &'static LocalKey<Self>,
        make: impl Fn(&Arc<Instance>) -> T,
        look: impl Fn(&T) -> R,
    ) -> Result<R, NoApp> {
        let runtime = Handle::try_current().map_err(|_| NoApp::NoRuntime)?.id();
        let kept = here.try_with(|PerRuntime(kept)| {
            let mut kept = kept.borrow_mut();
            let changes = CHANGES.load(Ordering::Acquire);
            let value = match &mut *kept {
                Some(kept) if kept.runtime == runtime && kept.changes == changes => &kept.value,
                kept => {
                    let (instance, changes) = find(runtime)?;
                    &kept.insert(Kept { runtime, changes, value: make(&instance) }).value
                }
            };
            Ok(look(value))
        });
        // A thread that ends keeps nothing any more.
        kept.unwrap_or_else(|_| {
            let (instance, _) = find(runtime)?;
            Ok(look(&make(&instance)))
        })
    }
}

/// The app of a runtime, and the changes that led to it.
fn find(runtime: Id) -> Result<(Arc<Instance>, u64), NoApp> {
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    let own = running.by_runtime.as_ref().and_then(|map| map.get(&runtime));
    let instance = own.or(running.default.as_ref()).cloned().ok_or(NoApp::NotStarted)?;
    Ok((instance, CHANGES.load(Ordering::Relaxed)))
}

/// Changes which apps there are.
fn change(how: impl FnOnce(&mut Running)) {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    how(&mut running);
    CHANGES.fetch_add(1, Ordering::Release);
}

/// Keeps an instance findable until it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    runtime: Id,
    is_default: bool,
}

/// Makes `instance` the app of the current runtime.
///
/// # Panics
/// Outside a runtime.
pub(crate) fn register(instance: Arc<Instance>, reach: Reach) -> Registered {
    let runtime = Handle::current().id();
    let is_default = reach == Reach::Process;
    change(|running| {
        if is_default {
            running.default = Some(instance.clone());
        }
        running.by_runtime.get_or_insert_default().insert(runtime, instance);
    });
    Registered { runtime, is_default }
}

/// Whose code finds an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What runs in its runtime.
    #[cfg(feature = "testing")]
    Runtime,
    /// What runs in any runtime that has no app of its own.
    Process,
}

impl Drop for Registered {
    fn drop(&mut self) {
        change(|running| {
            if let Some(map) = &mut running.by_runtime {
                map.remove(&self.runtime);
            }
            if self.is_default {
                running.default = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Runtime;

    use super::*;
    use crate::instance::{Clock, Extensions};

    fn instance(app: &str) -> Arc<Instance> {
        Arc::new(Instance::new(app, bis_config::Config::default(), Clock::System, Extensions::default()))
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    /// The source of the current app, or its absence.
    fn here() -> Result<String, NoApp> {
        current().map(|instance| instance.source_of(None).to_string())
    }

    #[test]
    fn a_thread_finds_the_app_of_the_runtime_that_it_is_in() {
        let (shop, bank, bare) = (runtime(), runtime(), runtime());
        let registered = {
            let _entered = shop.enter();
            register(instance("shop"), Reach::Runtime)
        };
        let _bank = {
            let _entered = bank.enter();
            register(instance("bank"), Reach::Runtime)
        };
        for _ in 0..2 {
            assert_eq!(shop.block_on(async { here() }), Ok("/shop".into()));
            assert_eq!(bank.block_on(async { here() }), Ok("/bank".into()));
            assert_eq!(bare.block_on(async { here() }), Err(NoApp::NotStarted));
            assert_eq!(here(), Err(NoApp::NoRuntime));
            // A runtime inside another one.
            let _entered = shop.enter();
            assert_eq!(here(), Ok("/shop".into()));
            let _inner = bare.enter();
            assert_eq!(here(), Err(NoApp::NotStarted));
        }
        drop(registered);
        assert_eq!(shop.block_on(async { here() }), Err(NoApp::NotStarted));
        assert_eq!(bank.block_on(async { here() }), Ok("/bank".into()));
    }

    #[test]
    fn an_app_that_stopped_is_not_kept_by_the_threads_that_used_it() {
        let shop = runtime();
        let _entered = shop.enter();
        let instance = instance("shop");
        let registered = register(instance.clone(), Reach::Runtime);
        assert_eq!(here(), Ok("/shop".into()));
        drop(registered);
        assert_eq!(Arc::strong_count(&instance), 1);
        assert_eq!(here(), Err(NoApp::NotStarted));
    }
}
