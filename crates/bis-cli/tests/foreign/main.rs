//! Foreign programs against `bis router`: the test suites of NSQ clients and the tools of NSQ's distribution. They know
//! nothing about Bis. With `BIS_FOREIGN_BROKER=nsqd` the same tests run against a real nsqd, as a control.
//!
//! Brokers and peers are processes on free ports of 127.0.0.1; a missing peer means a skipped test, unless
//! `BIS_REQUIRE_PEERS=1`. Nothing here may know the internals of the router.

mod broker;
mod certificates;
mod http;
mod peers;
mod program;
mod suite;

mod go_nsq;
mod nsqadmin;
mod secure;
mod tokio_nsq;
mod tools;
