//! Until when a stopping router waits for one client. It only computes times.

use std::time::Duration;

use tokio::time::Instant;

/// How long a stopping router listens to a client at most, and then waits for it to take its answers.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long a client that holds messages must be quiet before a stopping router lets it go.
const QUIET: Duration = Duration::from_millis(100);
/// The same for a client that holds none: what it has sent must have arrived.
const QUIET_IDLE: Duration = Duration::from_millis(5);

/// A stop, as one connection sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopping {
    /// The client is let go when it has said nothing until then.
    pub(super) quiet: Instant,
    /// The client is let go then at the latest.
    pub(super) listening: Instant,
    /// The connection is cut off then.
    pub(super) end: Instant,
}

impl Stopping {
    /// The router stops now.
    pub(super) fn new(now: Instant) -> Self {
        Self { quiet: now, listening: now + GRACE, end: now + 2 * GRACE }
    }

    /// The client has just said something: it is waited for a little longer, more so when it holds messages.
    pub(super) fn note_activity(&mut self, now: Instant, holds_messages: bool) {
        self.quiet = self.listening.min(now + if holds_messages { QUIET } else { QUIET_IDLE });
    }
}
