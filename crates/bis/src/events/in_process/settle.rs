//! What happens to one delivery, which is identified by its event's sequence. One that nobody settles comes again.

use std::{sync::Arc, time::Duration};

use bis_broker::{Answer, Settle, SettleError, Settled, Verdict, channel::Channel};

use super::{consumer::Held, subscription::Floor};

/// Whether a delivery was an attempt.
#[derive(Clone, Copy)]
enum Counted {
    Yes,
    No,
}

impl Held {
    fn decide<E>(&self, decide: impl FnOnce(&mut Channel) -> Result<(), E>) -> Result<(), SettleError> {
        let mut topic = self.topic();
        if topic.subscriptions[self.index].settle(decide)? == Floor::Moved {
            topic.forget_finished(self.shared.now());
        }
        Ok(())
    }

    fn again_in(&self, sequence: u64, wait: Duration, counted: Counted) -> Result<(), SettleError> {
        let now = self.shared.now();
        let due = now.plus(wait);
        self.decide(|channel| match counted {
            Counted::Yes => channel.retry(sequence, self.id, due, now),
            Counted::No => channel.postpone(sequence, self.id, due, now),
        })?;
        // The consumer may be waiting without knowing of this deadline.
        self.topic().subscriptions[self.index].ring();
        Ok(())
    }
}

impl Settle for Held {
    fn settle(self: Arc<Self>, sequence: u64, verdict: Verdict) -> Settled {
        Answer::ready(match verdict {
            Verdict::Ack => self.decide(|channel| channel.finish(sequence, self.id)),
            Verdict::Retry(wait) => self.again_in(sequence, wait, Counted::Yes),
            Verdict::Postpone(wait) => self.again_in(sequence, wait, Counted::No),
            Verdict::Release => self.decide(|channel| channel.release(sequence, self.id)),
        })
    }

    fn abandon(self: Arc<Self>, sequence: u64) {
        // Nobody decided: it comes again. Where the consumer is gone, it did so already.
        let _ = self.again_in(sequence, Duration::ZERO, Counted::Yes);
    }
}
