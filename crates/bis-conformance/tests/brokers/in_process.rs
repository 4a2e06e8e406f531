//! The broker in the app's own process.

use std::sync::Arc;

use bis::drivers::in_process::InProcess;
use bis_broker::{BoxFuture, Broker};
use bis_conformance::{Missing, Peer, Process};

bis_conformance::suite!(super::in_process::start);

async fn start() -> Result<Box<dyn Peer>, Missing> {
    Ok(Box::new(Own(Arc::new(InProcess::new()))))
}

/// Every client of it is the same one.
struct Own(Arc<InProcess>);

impl Peer for Own {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async { self.0.clone() as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        None
    }
}
