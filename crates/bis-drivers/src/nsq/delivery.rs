//! Settling on NSQ: `FIN`, `REQ`, `TOUCH`, and the router's `RELEASE`.

use std::{future::ready, time::Duration};

use bis_broker::{BoxFuture, Settle, SettleError};
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

    fn extend(&mut self) -> BoxFuture<'_, Result<(), SettleError>> {
        done(self.0.touch())
    }
}

/// The command is on its way in the order of these calls; nothing is left to wait for.
fn done(result: Result<(), client::SettleError>) -> BoxFuture<'static, Result<(), SettleError>> {
    Box::pin(ready(result.map_err(|error| match error {
        client::SettleError::Lost => SettleError::Lost,
        client::SettleError::Closed => SettleError::Closed,
    })))
}
