//! Servers behind nsqlookupd, which is all that clients know.

use std::{collections::BTreeMap, slice::SliceIndex, sync::Arc, time::Duration};

use bis_broker::{BoxFuture, Broker};
use bis_conformance::{Missing, Peer, Process};
use bis_drivers::nsq::{Nsq, NsqOptions};
use bis_nsq::client::{HttpAddress, nodes};
use tokio::time::{sleep, timeout};

use crate::{
    nsqd,
    peer::{Site, quick},
    spawned::{Program, Spawned, find},
};

/// How long nsqlookupd may take to know of a server. One that has lost it looks for it every 15 s, and finds at the second look.
const PATIENCE: Duration = Duration::from_secs(45);

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) lookups: Vec<Spawned>,
    pub(crate) servers: Vec<Spawned>,
}

/// Two real nsqds behind one nsqlookupd.
pub(crate) async fn start() -> Result<Cluster, Missing> {
    // Without nsqd there is no need for nsqlookupd.
    nsqd::program(Vec::new())?;
    let mut cluster = Cluster::lookups(1).await?;
    for _ in 0..2 {
        cluster.add(nsqd::registered(cluster.lookup_tcp(..))?).await;
    }
    Ok(cluster)
}

impl Cluster {
    /// This many nsqlookupds that know no server yet.
    pub(crate) async fn lookups(count: usize) -> Result<Self, Missing> {
        let program = Program {
            path: find("nsqlookupd")?,
            arguments: |addresses, _, _| {
                vec![format!("--tcp-address={}", addresses[0]), format!("--http-address={}", addresses[1])]
            },
            extra: Vec::new(),
            environment: |_, _| Vec::new(),
            address_after: &["TCP: listening on ", "HTTP: listening on "],
        };
        let mut lookups = Vec::new();
        for _ in 0..count {
            lookups.push(Spawned::start(program.clone()).await);
        }
        Ok(Self { lookups, servers: Vec::new() })
    }

    /// One more server, which registers with some nsqlookupd.
    pub(crate) async fn add(&mut self, program: Program) {
        self.servers.push(Spawned::start(program).await);
        self.known().await;
    }

    /// Where servers register.
    pub(crate) fn lookup_tcp(&self, which: impl SliceIndex<[Spawned], Output = [Spawned]>) -> Vec<String> {
        self.lookups[which].iter().map(|lookup| lookup.address(0).to_owned()).collect()
    }

    /// The HTTP addresses of every nsqlookupd.
    pub(crate) fn lookup_http(&self) -> Vec<HttpAddress> {
        self.lookups.iter().map(http).collect()
    }

    /// The options of its clients.
    pub(crate) fn options(&self) -> NsqOptions {
        quick(NsqOptions {
            lookupd_interval: Duration::from_millis(200),
            ..NsqOptions::found_through(self.lookup_http())
        })
    }

    /// Waits until every server is known to some nsqlookupd.
    pub(crate) async fn known(&self) {
        let all = async {
            loop {
                let mut known = BTreeMap::new();
                for lookup in self.lookup_http() {
                    known.extend(nodes(&lookup).await.unwrap_or_default());
                }
                if self.servers.iter().all(|server| known.contains_key(server.address(0))) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("nsqlookupd knows of every server in time");
    }
}

/// The HTTP address of a server whose second address it is.
pub(crate) fn http(server: &Spawned) -> HttpAddress {
    HttpAddress::parse(server.address(1)).expect("an address")
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
        let lookups: Vec<String> = self.lookup_http().iter().map(ToString::to_string).collect();
        serde_json::json!({ "nsq": { "lookupd": lookups, "lookupd_interval": "200ms", "lease": "1s" } })
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
