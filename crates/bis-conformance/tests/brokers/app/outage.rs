//! What the log of an app says while its broker is gone: that it is, once, and that it is back, once, however many
//! connections there are.

use std::time::Duration;

use bis_conformance::{bounded, skip_missing};
use libtest_mimic::Trial;
use tokio::time::{sleep, timeout};

use super::process::{App, PATIENCE};
use crate::{router, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let name = "an_outage_is_told_once";
    vec![trial("router", name, || bounded(name, an_outage_is_told_once()))]
}

async fn an_outage_is_told_once() {
    let site = match router::start().await {
        Ok(site) => site,
        Err(missing) => return skip_missing("router", "an_outage_is_told_once", &missing),
    };
    site.server.kill().await;
    let back = async {
        // Time for some attempts of everybody.
        sleep(Duration::from_secs(2)).await;
        site.server.restart().await;
    };
    let (mut app, ()) = tokio::join!(App::start(&site), back);
    expect(&app, 1).await;
    site.server.stop().await;
    sleep(Duration::from_secs(1)).await;
    site.server.restart().await;
    app.publish("quick", 1).await;
    app.until("finished").await;
    expect(&app, 2).await;
    app.stop().await;
}

/// This many outages have been logged, and their ends.
async fn expect(app: &App, outages: usize) {
    let count = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
    let told = async {
        while count(&app.log(), "connected to the broker") < outages {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the end of the outage is told in time");
    let log = app.log();
    let counts = (count(&log, " WARN "), count(&log, " ERROR "), count(&log, "connected to the broker"));
    assert_eq!(counts, (outages, 0, outages), "{log}");
}
