//! What clients, operators and disks see of a router: one program, so that the router is linked for all of it once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod backlog;
mod bound;
mod dedup;
mod flooding;
mod folder;
mod forged;
mod http;
mod https;
mod intake;
mod kill;
mod large;
mod lookup;
mod metrics;
mod moving;
mod order;
mod pausing;
mod protocol;
mod replay;
mod retention;
mod stopping;
mod strange;
mod suspects;
mod waking;

/// Not a test by itself: the process that tests start and kill.
#[test]
fn router_process() {
    support::process::run();
}
