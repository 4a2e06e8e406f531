//! The brokers as the suite sees them: in-process, and one server in a process of its own.

use std::{sync::Arc, time::Duration};

use bis::drivers::in_process::InProcess;
use bis_broker::{BoxFuture, Broker};
use bis_conformance::{Peer, Process};
use bis_drivers::nsq::{Nsq, NsqOptions};

use crate::spawned::Spawned;

/// A broker that a whole app can run on.
pub(crate) trait Site: Peer {
    /// What is under `broker` in the app's configuration.
    fn config(&self) -> serde_json::Value;

    /// Its servers, each with its TCP address first; none in process.
    fn servers(&self) -> Vec<&Spawned>;
}

/// Clients that hold short leases and give up soon.
pub(crate) fn quick(mut options: NsqOptions) -> NsqOptions {
    options.client.lease = <dyn Peer>::LEASE;
    options.client.publish_wait = Duration::from_secs(2);
    options
}

/// The broker in the app's own process. Every client of it is the same one.
pub(crate) struct Own(Arc<InProcess>);

impl Own {
    pub(crate) fn new() -> Self {
        Self(Arc::new(InProcess::new()))
    }
}

impl Peer for Own {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async { self.0.clone() as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        None
    }
}

impl Site for Own {
    fn config(&self) -> serde_json::Value {
        serde_json::json!({ "in_process": {} })
    }

    fn servers(&self) -> Vec<&Spawned> {
        Vec::new()
    }
}

/// One server.
pub(crate) struct Single {
    pub(crate) server: Spawned,
    /// How much later than its time it may deliver an event.
    pub(crate) slack: Duration,
}

impl Peer for Single {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        let options = quick(NsqOptions::new(self.server.address(0)));
        Box::pin(async { Arc::new(Nsq::start(options)) as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        Some(self)
    }

    fn slack(&self) -> Duration {
        self.slack
    }
}

impl Site for Single {
    fn config(&self) -> serde_json::Value {
        serde_json::json!({ "nsq": { "address": self.server.address(0), "lease": "1s" } })
    }

    fn servers(&self) -> Vec<&Spawned> {
        vec![&self.server]
    }
}

impl Process for Single {
    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.server.kill())
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.server.stop())
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.server.restart())
    }
}
