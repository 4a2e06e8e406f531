//! A client that is closed while deliveries wait in it that nobody received: the router takes them back uncounted.

use std::{collections::BTreeSet, time::Duration};

use bis::drivers::nsq::{Nsq, NsqOptions};
use bis_broker::Broker;
use bis_conformance::{
    Inbox, bounded,
    case_words::{publish, topology},
    skip_missing,
};
use libtest_mimic::Trial;
use tokio::time::{sleep, timeout};

use crate::{cluster::http, peer::quick, router, spawned::Spawned, trial};

const EVENTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    let name = "what_nobody_received_is_no_attempt";
    vec![trial("closing", name, || bounded(name, what_nobody_received_is_no_attempt()))]
}

async fn what_nobody_received_is_no_attempt() {
    let router = match router::start().await {
        Ok(router) => router,
        Err(missing) => return skip_missing("router", "what_nobody_received_is_no_attempt", &missing),
    };
    let client = || Nsq::start(quick(NsqOptions::new(router.server.address(0))));
    let (first, second) = (client(), client());
    first.ensure(&topology(&["ship"], false)).await.expect("ensured");
    let mut inbox = Inbox::open(&first, "ship").await;
    // It asks for as many, and gives up before any is there.
    inbox.expect_nothing(Duration::from_millis(100)).await;
    let mut events = BTreeSet::new();
    for number in 0..EVENTS {
        events.insert(publish(&second, number.to_string()).await);
    }
    let arrived = async {
        while in_flight(&router.server).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("deliveries arrive in time");
    first.close().await;
    let mut again = Inbox::open(&second, "ship").await;
    for delivery in again.take(EVENTS).await {
        assert!(events.remove(&delivery.envelope.id), "each comes once");
        assert_eq!(delivery.attempt, 1, "nobody has started it");
        delivery.settle.ack().await.expect("acked");
    }
    second.close().await;
}

/// How many messages the channel's consumer has been sent.
async fn in_flight(server: &Spawned) -> u64 {
    let stats = http(server).request("GET", "/stats?format=json", PATIENCE).await.expect("stats");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    stats["topics"][0]["channels"][0]["in_flight_count"].as_u64().expect("a count")
}
