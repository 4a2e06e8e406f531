//! Settling on NSQ: `FIN`, `REQ`, and the router's `RELEASE`; and `TOUCH`, for many deliveries at once.

use std::{
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bis_broker::{
    Answer, BoxFuture, Extender, LeaseToken, Settle, SettleError, Settled, Settlement, Verdict,
};
use bis_nsq::client;

/// One message that this process holds. Dropped, it goes back at once.
struct NsqSettle(Mutex<Option<client::Delivery>>);

/// How to settle a message.
pub(super) fn settlement(message: client::Delivery) -> Settlement {
    // Each has a driver of its own, which needs no number.
    Settlement::new(Arc::new(NsqSettle(Mutex::new(Some(message)))), 0)
}

impl NsqSettle {
    fn message(&self) -> MutexGuard<'_, Option<client::Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for NsqSettle {
    fn settle(self: Arc<Self>, _: u64, verdict: Verdict) -> Settled {
        let Some(message) = self.message().take() else { return Answer::ready(Err(SettleError::Lost)) };
        let result = match verdict {
            Verdict::Ack => message.finish(),
            Verdict::Retry(wait) => message.requeue(wait),
            Verdict::Postpone(wait) => message.postpone(wait),
            Verdict::Release => message.release(),
        };
        // The command is on its way in the order of these calls; nothing is left to wait for.
        Answer::ready(result.map_err(settle_error))
    }

    fn abandon(self: Arc<Self>, _: u64) {
        self.message().take();
    }

    fn lease(&self, _: u64) -> Option<LeaseToken> {
        self.message().as_ref().map(|message| LeaseToken::new(message.lease_handle()))
    }
}

/// Extends leases by `TOUCH`, those of one connection in one write.
#[derive(Debug)]
pub(super) struct NsqExtender;

impl Extender for NsqExtender {
    fn extend(&self, leases: Vec<LeaseToken>) -> BoxFuture<'_, Vec<Result<(), SettleError>>> {
        let handles: Vec<_> = leases.into_iter().map(LeaseToken::downcast::<client::Lease>).collect();
        let mut touched = client::touch_all(handles.iter().flatten()).into_iter();
        let mut result = |is_ours: bool| match is_ours.then(|| touched.next()).flatten() {
            Some(result) => result.map_err(settle_error),
            None => Err(SettleError::Lost),
        };
        Box::pin(ready(handles.iter().map(|handle| result(handle.is_some())).collect()))
    }
}

fn settle_error(error: client::SettleError) -> SettleError {
    match error {
        client::SettleError::Lost => SettleError::Lost,
        client::SettleError::Closed => SettleError::Closed,
    }
}
