//! What a consumer's task, its receiver and its deliveries share about one connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::consumer::MAX_HELD;
use crate::{FEATURE_POSTPONE, FEATURE_RELEASE, IdentifyReply};

/// One connection's life. A new connection gets a new session, so deliveries of an old one know that they
/// are lost.
#[derive(Debug)]
pub(super) struct Session {
    /// How long a delivery stays unless touched.
    pub(super) lease: Duration,
    /// Whether the server can take a delivery back uncounted.
    pub(super) uncounted_release: bool,
    /// Whether the server can do so after a delay.
    pub(super) postpones: bool,
    /// The largest `RDY`.
    pub(super) max_ready: usize,
    alive: AtomicBool,
    /// Deliveries that `receive` returned and that are not settled.
    unsettled: AtomicUsize,
    /// The last `RDY` asked for.
    ready: AtomicUsize,
}

impl Session {
    pub(super) fn new(lease: Duration, server: &IdentifyReply) -> Self {
        Self {
            lease,
            uncounted_release: server.offers(FEATURE_RELEASE),
            postpones: server.offers(FEATURE_POSTPONE),
            max_ready: usize::try_from(server.max_rdy_count).unwrap_or(1).clamp(1, MAX_HELD),
            alive: AtomicBool::new(true),
            unsettled: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.alive.store(false, Ordering::Release);
    }

    pub(super) fn returned_one(&self) {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn settled_one(&self) {
        self.unsettled.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.load(Ordering::Acquire)
    }

    /// The `RDY` that asks for `max` messages beyond the unsettled ones, if it differs from the last one.
    pub(super) fn ready_for(&self, max: usize) -> Option<usize> {
        let ready = (self.unsettled() + max).min(self.max_ready);
        (self.ready.swap(ready, Ordering::AcqRel) != ready).then_some(ready)
    }
}
