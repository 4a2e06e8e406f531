//! What becomes of one delivery. One that nobody settles comes again.

use std::time::Duration;

use bis_broker::{BoxFuture, LeaseToken, Settle, SettleError, channel::Channel};

use super::{consumer::Held, subscription::Floor};

/// Whether a delivery was an attempt.
#[derive(Clone, Copy)]
enum Counted {
    Yes,
    No,
}

pub(super) struct InProcessSettle {
    held: Held,
    sequence: u64,
    settled: bool,
}

impl InProcessSettle {
    pub(super) fn new(held: Held, sequence: u64) -> Self {
        Self { held, sequence, settled: false }
    }

    fn settle<E>(&mut self, decide: impl FnOnce(&mut Channel) -> Result<(), E>) -> Result<(), SettleError> {
        self.settled = true;
        let mut topic = self.held.topic();
        if topic.subscriptions[self.held.index].settle(decide)? == Floor::Moved {
            topic.forget_finished(self.held.shared.now());
        }
        Ok(())
    }

    fn again_in(&mut self, wait: Duration, counted: Counted) -> Result<(), SettleError> {
        let now = self.held.shared.now();
        let (due, sequence, id) = (now.plus(wait), self.sequence, self.held.id);
        self.settle(|channel| match counted {
            Counted::Yes => channel.retry(sequence, id, due, now),
            Counted::No => channel.postpone(sequence, id, due, now),
        })?;
        // The consumer may be waiting without knowing of this deadline.
        self.held.topic().subscriptions[self.held.index].ring();
        Ok(())
    }
}

impl Settle for InProcessSettle {
    fn ack(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        let (sequence, id) = (self.sequence, self.held.id);
        Box::pin(std::future::ready(self.settle(|channel| channel.finish(sequence, id))))
    }

    fn retry(mut self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(std::future::ready(self.again_in(wait, Counted::Yes)))
    }

    fn postpone(mut self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(std::future::ready(self.again_in(wait, Counted::No)))
    }

    fn release(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        let (sequence, id) = (self.sequence, self.held.id);
        Box::pin(std::future::ready(self.settle(|channel| channel.release(sequence, id))))
    }

    fn lease(&self) -> Option<LeaseToken> {
        None
    }
}

impl Drop for InProcessSettle {
    fn drop(&mut self) {
        if !self.settled {
            // Nobody decided: it comes again. Where the consumer is gone, it did so already.
            let _ = self.again_in(Duration::ZERO, Counted::Yes);
        }
    }
}
