//! What nsqd's own tests check, from outside: each test runs against nsqd and against the router. A test that needs to
//! know which of the two it talks to belongs elsewhere.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod connection;
mod delivery;
mod http;
mod https;
mod identify;
mod layers;
mod publish;
mod stats;
mod subscribe;
