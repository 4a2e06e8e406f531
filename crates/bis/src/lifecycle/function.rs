//! One function with its service: its name in the log, and a call of it, with its scope and the end of its panics. Others decide
//! when it is called.

use std::{
    fmt::{self, Display},
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use super::entry::LifecycleEntry;
use crate::{
    error::{Error, Result},
    instance::{Activity, Scope, ServiceEntry, function_path, threads},
    panics::Caught,
};

/// A function that its app calls by itself.
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) entry: &'static LifecycleEntry,
    pub(super) service: &'static ServiceEntry,
}

/// What a call belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call<'a> {
    /// Virtual time waits for it.
    Awaited(Option<&'a Activity>),
    /// Virtual time goes its own way.
    Background,
}

impl Function {
    /// Calls the function on the current runtime and waits for its end. A panic is an error.
    pub(super) async fn call(self, call: Call<'_>) -> Result<()> {
        let activity = match call {
            Call::Awaited(activity) => activity,
            Call::Background => None,
        };
        let scope = Scope {
            service: Some(self.service.name),
            function: Some(self.entry.function),
            activity: activity.map(Activity::id),
            is_background: matches!(call, Call::Background),
            ..Scope::continuing(None)
        };
        // A function that panics before its first await does so in here, too.
        let called = Box::pin(async move { (self.entry.call)().await });
        let caught = Caught::new(self, called);
        let known = known(Arc::new(self), caught);
        match Activity::follow(activity, scope.run(known)).await {
            Ok(result) => result,
            Err(panic) => Err(Error::msg(format!("it panicked: {panic}"))),
        }
    }
}

/// Runs a future whose thread is known to be `whose` while it runs.
async fn known<F: Future>(whose: Arc<Function>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = threads::enter(whose.clone());
        future.as_mut().poll(context)
    })
    .await
}

impl Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, .. } = self;
        let (role, path) = (entry.role.as_str(), function_path(entry.module, entry.function));
        write!(f, "the `{role}` function `{path}` ({})", entry.position)
    }
}
