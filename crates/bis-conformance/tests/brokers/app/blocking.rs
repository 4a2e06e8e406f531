//! Handlers that block every thread of the app: its events stay with it, it stops in time, and its log names the handler.

use std::time::Duration;

use bis_conformance::{Peer, bounded, skip_missing};
use libtest_mimic::Trial;
use tokio::time::{sleep, timeout};

use super::{
    crash::publish,
    process::{App, CONCURRENCY, PATIENCE, Settings},
};
use crate::{closing::in_flight, router, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let name = "blocked_threads_hold_up_no_lease_and_no_stop";
    vec![trial("router", name, || bounded(name, blocked_threads_hold_up_no_lease_and_no_stop()))]
}

async fn blocked_threads_hold_up_no_lease_and_no_stop() {
    let site = match router::start().await {
        Ok(site) => site,
        Err(missing) => {
            return skip_missing("router", "blocked_threads_hold_up_no_lease_and_no_stop", &missing);
        }
    };
    let settings = Settings { stop_within: "1s", threads: "2" };
    let mut blocked = App::start_with(&site, settings).await;
    // As many as it holds at once, and twice as many as it has threads: some wait for a thread.
    let client = Peer::client(&site).await;
    publish(&client, "jobs", (0..CONCURRENCY).map(|number| format!("block-{number}"))).await;
    let held = async {
        while in_flight(&site.server, "jobs").await < CONCURRENCY as u64 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, held).await.expect("it takes all that it may hold");
    blocked.until("started block").await;
    blocked.until("started block").await;

    // Each takes as long as a lease.
    let mut other = App::start(&site).await;
    let mut lines = Vec::new();
    for _ in 0..3 {
        other.publish("slow", 1).await;
        lines.extend(other.until("finished slow").await);
    }
    assert!(!lines.iter().any(|line| line.contains("block")), "leases ended: {lines:?}");
    let log = blocked.log();
    assert!(log.contains("blocks its thread") && log.contains("jobs/work"), "{log}");

    let said = blocked.stop().await;
    assert!(!said.iter().any(|line| line.contains("finished")), "{said:?}");
    let mut again = Vec::new();
    while again.len() < CONCURRENCY {
        again.extend(other.until("started block").await.into_iter().filter(|line| line.contains("block")));
    }
    let first = again.iter().filter(|line| line.contains("attempt 1")).count();
    assert_eq!(first, CONCURRENCY - 2, "what was never begun with is not counted: {again:?}");
    other.kill().await;
}
