//! Looking at what waits for a subscription. It takes nothing.

use std::num::NonZeroUsize;

use bis_broker::{
    InquiryError, Page, SubscriptionSpec, Waiting, WaitingState,
    channel::{Peeked, Standing},
};

use super::{Shared, lock, log::Stored};

impl Shared {
    pub(super) fn peek(
        &self,
        spec: &SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> Result<Page, InquiryError> {
        if self.is_closed() {
            return Err(InquiryError::Closed);
        }
        let unknown = || InquiryError::Refused(format!("there is no subscription `{}`", spec.name));
        let topic = self.topic(&spec.topic).ok_or_else(unknown)?;
        let topic = lock(&topic);
        let subscription = topic.subscriptions.iter().find(|subscription| *subscription.name() == spec.name);
        let subscription = subscription.ok_or_else(unknown)?;
        let (log, most) = (&topic.log, limit.get().saturating_add(1));
        let mut peeked = subscription.peek(log, after, most, self.now());
        let more = peeked.len() > limit.get();
        peeked.truncate(limit.get());
        let events = peeked.iter().filter_map(|peeked| log.get(peeked.sequence).map(|at| at.waiting(peeked)));
        Ok(Page { events: events.collect(), more })
    }
}

impl Stored {
    fn waiting(&self, peeked: &Peeked) -> Waiting {
        Waiting {
            position: peeked.sequence,
            envelope: self.envelope.clone(),
            attempts: peeked.attempts,
            state: match peeked.standing {
                Standing::Ready => WaitingState::Ready,
                Standing::Deferred { .. } => WaitingState::Deferred,
                Standing::InFlight { .. } => WaitingState::InFlight,
            },
        }
    }
}
