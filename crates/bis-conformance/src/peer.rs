//! What a driver's tests give to the suite: a broker to run it against.

use std::{sync::Arc, time::Duration};

use bis_broker::{BoxFuture, Broker};

/// One running broker, used by one case and stopped when dropped.
pub trait Peer: Send + Sync {
    /// One more client of the broker, as another process of the app would have. Its leases last [`Peer::LEASE`] where
    /// the broker has leases.
    ///
    /// A broker within the app's own process returns the same one each time.
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>>;

    /// The broker as a process that can be stopped; `None` when it lives in the app's own.
    fn process(&self) -> Option<&dyn Process>;

    /// How much later than its time an event may come; 1.5 s unless the broker is known to look at its clock less often.
    fn slack(&self) -> Duration {
        Duration::from_millis(1500)
    }
}

impl dyn Peer {
    /// The lease of a peer's clients: the shortest that every broker allows.
    pub const LEASE: Duration = Duration::from_secs(1);
}

/// A broker that can be taken away and brought back at the same address with the same data.
pub trait Process: Send + Sync {
    /// Ends it at once, as a crash of its process does.
    fn kill(&self) -> BoxFuture<'_, ()>;

    /// Asks it to stop and waits until it has.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// Starts it again and waits until it accepts connections.
    fn start(&self) -> BoxFuture<'_, ()>;
}

/// The broker's program is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);
