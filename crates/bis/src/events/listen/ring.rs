//! What waits for one listener: a bounded number of events, of which the oldest are missed when more come.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::Lagged;
use crate::events::delivery::Incoming;

/// One event, which all listeners share.
pub(super) struct Heard {
    pub(super) incoming: Incoming,
    is_told: AtomicBool,
}

impl Heard {
    pub(super) fn new(incoming: Incoming) -> Arc<Self> {
        Arc::new(Self { incoming, is_told: AtomicBool::new(false) })
    }

    /// Whether nobody has reported its error before.
    pub(super) fn is_first_to_tell(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }
}

/// What waits for one listener.
pub(super) struct Ring {
    capacity: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Heard>>,
    missed: u64,
    is_over: bool,
    waker: Option<Waker>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the latest event.
    pub(super) fn put(&self, event: &Arc<Heard>) {
        let mut waiting = self.waiting();
        if waiting.events.len() == self.capacity {
            waiting.events.pop_front();
            waiting.missed += 1;
        }
        waiting.events.push_back(event.clone());
        let waker = waiting.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Nothing more comes. What waits can still be taken.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting();
        waiting.is_over = true;
        let waker = waiting.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The oldest event, and before it how many were missed.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Arc<Heard>, Lagged>>> {
        let mut waiting = self.waiting();
        if waiting.missed > 0 {
            return Poll::Ready(Some(Err(Lagged(std::mem::take(&mut waiting.missed)))));
        }
        if let Some(event) = waiting.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if waiting.is_over {
            return Poll::Ready(None);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
