//! The resources as a part of the app: created when it starts, dropped when it stops. What users' destructors do must not
//! hold up the stop.

use std::{sync::Arc, time::Duration};

use bis_broker::BoxFuture;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{ResourceEntry, Store, store::Owned};
use crate::{
    error::{Error, Result},
    instance::{Activity, Host, Part, Scope},
    panics,
};

/// How long a destructor may take at least, though the stop is late: long enough to close a connection to a peer.
const SHORTEST_DROP: Duration = Duration::from_secs(1);

/// The resources of a running app.
#[derive(Debug, Default)]
pub(crate) struct Creation {
    /// Once it has begun to start.
    begun: Option<(Arc<Store>, Handle)>,
    /// What had not been created when the app stopped waiting for it.
    unfinished: Option<&'static ResourceEntry>,
}

impl Part for Creation {
    fn name(&self) -> String {
        "the resources".into()
    }

    fn starting(&self) -> String {
        match self.unfinished {
            Some(entry) => format!("the resource {}", entry.shown()),
            None => self.name(),
        }
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let store = host.instance.extension::<Arc<Store>>().clone();
            self.begun = Some((store.clone(), host.handlers.clone()));
            let (creating, clock) = (store.clone(), host.instance.clock.clone());
            // Constructors are code of users, which may block its threads.
            let task = host.handlers.spawn(async move {
                let activity = clock.begin(|| "the constructors of resources".to_owned());
                // Nothing else may want time to move yet.
                let _driven = clock.drive();
                let scope =
                    Scope { activity: activity.as_ref().map(Activity::id), ..Scope::continuing(None) };
                scope.run(Activity::follow(activity.as_ref(), creating.create())).await
            });
            let mut creating = Task { store, task, unfinished: &mut self.unfinished };
            match (&mut creating.task).await {
                Ok(created) => created,
                Err(error) => Err(Error::new(error)),
            }
        })
    }

    fn stop(mut self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some((store, handlers)) = self.begun.take() else { return };
            for owned in store.stop() {
                let path = owned.entry.path();
                let dropped = handlers.spawn_blocking(move || drop_one(owned));
                let latest = deadline.max(Instant::now() + SHORTEST_DROP);
                if timeout_at(latest, dropped).await.is_err() {
                    tracing::warn!(resource = path, "the resource was not dropped in time; the stop goes on");
                }
            }
        })
    }
}

impl Drop for Creation {
    /// The start failed, or there is no stop in order.
    fn drop(&mut self) {
        let Some((store, handlers)) = self.begun.take() else { return };
        let leaving = Leaving(store.stop());
        if !leaving.0.is_empty() {
            handlers.spawn_blocking(move || drop(leaving));
        }
    }
}

/// The constructors at work. When nobody waits for them any more they are cut off.
struct Task<'a> {
    store: Arc<Store>,
    task: JoinHandle<Result<()>>,
    unfinished: &'a mut Option<&'static ResourceEntry>,
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        *self.unfinished = self.store.progress.latest().map(|index| ResourceEntry::all()[index]);
        self.task.abort();
    }
}

/// Values that are dropped in order, also where the runtime ends before it comes to that.
struct Leaving(Vec<Owned>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.drain(..).for_each(drop_one);
    }
}

/// Drops a value. It runs where it may block.
fn drop_one(Owned { entry, value }: Owned) {
    let path = entry.path();
    let others = Arc::strong_count(&value) - 1;
    if others > 0 {
        tracing::warn!(
            resource = path,
            others,
            "the resource is still held by code that outlives the app's stop, and is dropped when that lets go of it"
        );
    }
    if let Err(panic) = panics::catch(|| drop(value)) {
        tracing::error!(resource = path, %panic, "the resource panicked when it was dropped");
    }
}
