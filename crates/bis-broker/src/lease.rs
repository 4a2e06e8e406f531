//! The leases of deliveries, which are extended many at once: a broker far away is asked once for all.

use std::{any::Any, fmt};

use crate::{BoxFuture, SettleError};

/// What a driver must know to extend one delivery's lease while the delivery itself is elsewhere.
pub struct LeaseToken(Box<dyn Any + Send>);

impl LeaseToken {
    /// What the driver's own [`Extender`] reads again.
    pub fn new(token: impl Any + Send) -> Self {
        Self(Box::new(token))
    }

    /// What the driver put in; `None` when another driver did.
    pub fn downcast<T: Any>(self) -> Option<T> {
        self.0.downcast().ok().map(|token| *token)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LeaseToken").finish_non_exhaustive()
    }
}

/// Extends the leases of one consumer's deliveries.
pub trait Extender: Send + Sync {
    /// The handlers of these deliveries still run: their leases start anew. Resolves with one result per lease, in their order,
    /// once the driver has taken the decision on.
    ///
    /// A delivery may be settled meanwhile; then nothing happens to it, whatever the result.
    fn extend(&self, leases: Vec<LeaseToken>) -> BoxFuture<'_, Vec<Result<(), SettleError>>>;
}
