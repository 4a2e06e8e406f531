//! Tells the code of an app that the app stops, so that it can end by itself. It ends nothing.

use tokio::sync::watch;

use super::current;

/// Whether an app stops.
#[derive(Debug)]
pub(crate) struct Stopping(watch::Sender<bool>);

impl Default for Stopping {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stopping {
    /// The app stops from now on.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether the app stops.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the app stops.
    pub(crate) async fn begun(&self) {
        // The sender is here, so there is always one.
        self.0.subscribe().wait_for(|stops| *stops).await.ok();
    }
}

/// Completes when the app that the code runs in stops, or hands its work over to another process; at once if it already does.
/// Without an app it never completes.
///
/// Code that would go on without end waits for it: `#[background]` functions, tasks, answers that are streamed. It then has
/// `app.stop_within` (30 s) to finish.
///
/// ```
/// # use bis::prelude::*;
/// # async fn poll_the_carrier() -> Result<()> { Ok(()) }
/// # async fn watch() -> Result<()> {
/// loop {
///     tokio::select! {
///         () = bis::stopping() => return Ok(()),
///         () = bis::time::sleep(Duration::from_secs(60)) => poll_the_carrier().await?,
///     }
/// }
/// # }
/// ```
pub async fn stopping() {
    match current() {
        Ok(instance) => instance.stopping.begun().await,
        Err(_) => std::future::pending().await,
    }
}
