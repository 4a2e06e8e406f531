//! Tasks that outlive the handler or endpoint that began them. It only carries over what surrounds them.

use std::{future::Future, panic::Location};

use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{Activity, Scope};
use crate::instance;

/// Spawns a task that belongs to what spawns it: what it publishes, calls and logs is part of the same trace, names the
/// same event as its cause, and comes from the same service. `tokio::spawn` begins with none of that.
///
/// The handler's timeout and retries do not reach it: an event is acked when its handler returns, whatever happens to the
/// task, and a stopping process does not wait for it. In a `#[bis::test]`, `TestApp::settle`
/// waits for it as for a handler, unless a `#[background]` function began it.
///
/// ```
/// # use bis::prelude::*;
/// # #[derive(Event, Serialize, Deserialize)]
/// # struct Order { id: u32 }
/// # static SHIPPED: Topic<Order> = Topic::new("order-shipped");
/// # async fn ship(order: Delivery<Order>) -> Result<()> {
/// bis::spawn(async move {
///     if let Err(error) = SHIPPED.publish(&order).await {
///         tracing::warn!(%error, "nobody is told");
///     }
/// });
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// Outside a tokio runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let place = Location::caller();
    let is_background = Scope::with(|scope| scope.is_some_and(|scope| scope.is_background));
    let clock = instance::current().ok().filter(|_| !is_background).map(|instance| instance.clock.clone());
    let activity = clock.and_then(|clock| clock.begin(|| format!("the task spawned at {place}")));
    let scope = Scope::current().map(|scope| Scope {
        // A caller that waits for an answer does not wait for the task.
        deadline: None,
        activity: activity.as_ref().map(Activity::id),
        ..scope
    });
    let task = async move {
        let future = Activity::follow(activity.as_ref(), future);
        match scope {
            Some(scope) => scope.run(future).await,
            None => future.await,
        }
    };
    tokio::spawn(task.in_current_span())
}
