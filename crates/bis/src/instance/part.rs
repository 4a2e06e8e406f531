//! A part of a running app: what starts before the app is ready and stops after it. The code that starts an app knows its parts by
//! this trait alone.

use std::{future::pending, net::SocketAddr, sync::Arc};

use bis_broker::BoxFuture;
use tokio::{runtime::Handle, time::Instant};

use super::Instance;
use crate::error::{Error, Result};

/// Where a part runs.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The app.
    pub(crate) instance: Arc<Instance>,
    /// The runtime for code of users, which may block its threads. The parts' own upkeep stays on the current runtime.
    pub(crate) handlers: Handle,
}

/// How an app stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Another process continues its work.
    HandOver,
    /// Somebody waits for its end.
    Prompt,
}

/// Something that an app starts and stops, such as its deliveries or its listeners.
///
/// The parts of an app start one after the other, each once those before it have, and are told that the app is ready once all
/// have. To stop, all are told at once to drain; then each stops, in the reverse order, so that what a part needs is there
/// until it has stopped.
pub(crate) trait Part: Send {
    /// Its name as it reads after "cannot start": ``the database `orders` ``.
    fn name(&self) -> String;

    /// What of it starts, or started last, as it reads after "cannot start": one of several things that the part consists of.
    fn starting(&self) -> String {
        self.name()
    }

    /// Whether its start counts against the app's time to start.
    fn is_limited(&self) -> bool {
        true
    }

    /// Makes it able to work, without taking any work yet. When it fails, or the future is dropped, the part is dropped
    /// without a call of [`Part::stop`].
    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>>;

    /// Takes work from now on: every part of the app has started.
    ///
    /// # Errors
    /// When it cannot; the app stops.
    fn ready(&mut self, _: &Host) -> Result<()> {
        Ok(())
    }

    /// Where it can be reached from outside, under the names that the process's parent knows.
    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }

    /// Completes when it broke and cannot go on; the app stops then. Called again after the future was dropped.
    fn failed(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(pending())
    }

    /// Takes no more work, and lets what runs finish until `deadline`. Must not wait.
    fn drain(&mut self, _: Stop, _deadline: Instant) {}

    /// Completes when nothing of it runs any more. What still runs at `deadline` is cut off.
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()>;
}
