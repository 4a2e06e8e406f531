//! Two real nsqds behind one nsqlookupd, which is all that clients are told of.

use std::{sync::Arc, time::Duration};

use bis::drivers::nsq::{Nsq, NsqOptions};
use bis_broker::{BoxFuture, Broker};
use bis_conformance::{Missing, Peer, Process};
use bis_nsq::client::{HttpAddress, nodes};
use tokio::time::{sleep, timeout};

use crate::{
    nsqd,
    peer::{Site, quick},
    spawned::{Program, Spawned, find},
};

/// How long nsqlookupd may take to know of a server.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running cluster.
pub(crate) struct Cluster {
    lookup: Spawned,
    pub(crate) servers: Vec<Spawned>,
}

pub(crate) async fn start() -> Result<Cluster, Missing> {
    let program = Program {
        path: find("nsqlookupd")?,
        arguments: |addresses, _, _| {
            vec![format!("--tcp-address={}", addresses[0]), format!("--http-address={}", addresses[1])]
        },
        extra: Vec::new(),
        environment: |_, _| Vec::new(),
        address_after: &["TCP: listening on ", "HTTP: listening on "],
    };
    // Without nsqd there is no need for nsqlookupd.
    nsqd::program(Vec::new())?;
    let mut cluster = Cluster { lookup: Spawned::start(program).await, servers: Vec::new() };
    for _ in 0..2 {
        cluster.add().await?;
    }
    Ok(cluster)
}

impl Cluster {
    /// One more server.
    pub(crate) async fn add(&mut self) -> Result<(), Missing> {
        let lookup = format!("--lookupd-tcp-address={}", self.lookup.address(0));
        self.servers.push(Spawned::start(nsqd::program(vec![lookup])?).await);
        self.known().await;
        Ok(())
    }

    /// The HTTP address of nsqlookupd.
    pub(crate) fn lookup(&self) -> HttpAddress {
        HttpAddress::parse(self.lookup.address(1)).expect("an address")
    }

    /// The options of its clients.
    pub(crate) fn options(&self) -> NsqOptions {
        quick(NsqOptions {
            lookupd_interval: Duration::from_millis(200),
            ..NsqOptions::found_through(vec![self.lookup()])
        })
    }

    /// Waits until nsqlookupd knows of every server.
    async fn known(&self) {
        let all = async {
            loop {
                let known = nodes(&self.lookup()).await.unwrap_or_default();
                if self.servers.iter().all(|server| known.contains_key(server.address(0))) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("nsqlookupd knows of every server in time");
    }
}

impl Peer for Cluster {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async { Arc::new(Nsq::start(self.options())) as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        Some(self)
    }

    fn slack(&self) -> Duration {
        nsqd::SLACK
    }
}

impl Site for Cluster {
    fn config(&self) -> serde_json::Value {
        let lookup = self.lookup().to_string();
        serde_json::json!({ "nsq": { "lookupd": [lookup], "lookupd_interval": "200ms", "lease": "1s" } })
    }

    fn servers(&self) -> Vec<&Spawned> {
        self.servers.iter().collect()
    }
}

/// All servers at once; nsqlookupd stays.
impl Process for Cluster {
    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for server in &self.servers {
                server.kill().await;
            }
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for server in &self.servers {
                server.stop().await;
            }
        })
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for server in &self.servers {
                server.restart().await;
            }
            self.known().await;
        })
    }
}
