//! Settling on NSQ: `FIN`, `REQ`, and the router's `RELEASE`; and `TOUCH`, for many deliveries at once.

use std::{future::ready, time::Duration};

use bis_broker::{BoxFuture, Extender, LeaseToken, Settle, SettleError};
use bis_nsq::client;

/// One message that this process holds. Dropped, it goes back at once.
pub(super) struct NsqSettle(client::Delivery);

impl NsqSettle {
    pub(super) fn new(delivery: client::Delivery) -> Self {
        Self(delivery)
    }
}

impl Settle for NsqSettle {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        done(self.0.finish())
    }

    fn retry(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        done(self.0.requeue(wait))
    }

    fn postpone(self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        done(self.0.postpone(wait))
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        done(self.0.release())
    }

    fn lease(&self) -> Option<LeaseToken> {
        Some(LeaseToken::new(self.0.lease_handle()))
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

/// The command is on its way in the order of these calls; nothing is left to wait for.
fn done(result: Result<(), client::SettleError>) -> BoxFuture<'static, Result<(), SettleError>> {
    Box::pin(ready(result.map_err(settle_error)))
}

fn settle_error(error: client::SettleError) -> SettleError {
    match error {
        client::SettleError::Lost => SettleError::Lost,
        client::SettleError::Closed => SettleError::Closed,
    }
}
