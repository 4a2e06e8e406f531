//! Why a resource is not there, or was not created.

use std::{error::Error as StdError, fmt, sync::Arc};

use bis_core::codes;

use super::ResourceEntry;
use crate::{error::Error, instance::NoApp};

/// A resource is not there. `{:?}` shows the same text as `{}`, for those who meet it through `unwrap`.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoResource {
    /// There is no tokio runtime on this thread.
    #[error(
        "the resource `{resource}` was used on a thread without the app's runtime; take `tokio::runtime::Handle::current()` in a handler and `block_on` or `spawn` with it here [{}]",
        codes::NO_RUNTIME
    )]
    NoRuntime {
        /// The path of its static.
        resource: String,
    },
    /// There is a runtime, and no app was started.
    #[error(
        "the resource `{resource}` was used before its app was started; start the app with `app().main()` in `main`, or write the test with `#[bis::test(app = ..)]` in place of `#[tokio::test]` [{}]",
        codes::NOT_STARTED
    )]
    NotStarted {
        /// The path of its static.
        resource: String,
    },
    /// The app starts and has not created it yet.
    #[error(
        "the resource `{resource}` was used before it was created; a constructor that needs it takes it with `.ready().await?`, which creates it first [{}]",
        codes::RESOURCE_NOT_THERE
    )]
    NotCreated {
        /// The path of its static.
        resource: String,
    },
    /// This process does not host the service that it belongs to.
    #[error(
        "the resource `{resource}` belongs to the service `{service}`, which does not run in this process; call an endpoint of that service, or move the static into a module outside every service [{}]",
        codes::RESOURCE_NOT_THERE
    )]
    Elsewhere {
        /// The path of its static.
        resource: String,
        /// The service.
        service: String,
    },
    /// The app has stopped and dropped it.
    #[error(
        "the resource `{resource}` was used after the app had stopped; let what uses it end when `bis::stopping()` completes [{}]",
        codes::RESOURCE_NOT_THERE
    )]
    Stopped {
        /// The path of its static.
        resource: String,
    },
}

impl fmt::Debug for NoResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl NoResource {
    /// There is no app.
    pub(super) fn without(app: NoApp, entry: &ResourceEntry) -> Self {
        let resource = entry.path();
        match app {
            NoApp::NoRuntime => Self::NoRuntime { resource },
            NoApp::NotStarted => Self::NotStarted { resource },
        }
    }
}

/// A resource was not created. Everything that waits for it has the same error.
#[derive(Debug, Clone)]
pub(crate) struct NotCreated(Arc<Reason>);

#[derive(Debug)]
struct Reason {
    resource: String,
    error: Error,
}

impl NotCreated {
    pub(super) fn new(entry: &ResourceEntry, error: Error) -> Self {
        Self(Arc::new(Reason { resource: entry.shown(), error }))
    }
}

impl fmt::Display for NotCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { resource, error } = &*self.0;
        // All of it, since what waits for the resource shows this text as its own error.
        let error = format!("{error:#}");
        write!(f, "the resource {resource} was not created: {error}")?;
        if error.ends_with(']') { Ok(()) } else { write!(f, " [{}]", codes::RESOURCE_FAILED) }
    }
}

impl StdError for NotCreated {}

/// Resources that need each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}; create what they share in a third resource, or take the other with `get()` when it is needed [{}]",
    text(circle),
    codes::RESOURCE_CYCLE
)]
pub(crate) struct Cycle {
    /// The resources with their places, each of which needs the next one, and the last the first.
    pub(super) circle: Vec<String>,
}

/// `a` needs `b`, which needs `a`.
fn text(circle: &[String]) -> String {
    let (first, rest) = circle.split_first().expect("a circle has a resource");
    if rest.is_empty() {
        return format!("the resource {first} needs itself");
    }
    let needs: Vec<String> = rest.iter().map(|one| format!(" needs {one}")).collect();
    format!("the resource {first}{}, which needs the first again", needs.join(", which"))
}
