//! Event-driven backends in Rust: topics, subscriptions, services and APIs as typed items.
//!
//! ```
//! use bis::prelude::*;
//!
//! bis::service!("orders");
//!
//! #[derive(Event, Serialize, Deserialize)]
//! pub struct OrderPlaced {
//!     pub order_id: u64,
//! }
//!
//! pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");
//!
//! #[subscription(PLACED)]
//! async fn ship(order: OrderPlaced) -> Result<()> {
//!     tracing::info!(order.order_id, "shipped");
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! An app is a library whose `app!` lists its services, and a `main` that calls [`App::main`]. It needs no daemon: without
//! configuration events go through memory; with the file that `BIS_CONFIG` names through a real broker. Delivery is at least once; an error has
//! the event retried with back-off, and what cannot be handled is kept as a dead letter.
//!
//! # Features
//! - `testing`: `#[bis::test]`, `TestApp` and seeded faults. Enable it under `[dev-dependencies]`; `bis run --chaos` enables it by
//!   itself.
//! - `garde`: `Valid<..>` for endpoints and `#[event(validate)]`, with the rules of garde. Its derive is garde's own:
//!   `cargo add garde --features derive`.
//! - `nsq-tls`: TLS to NSQ servers, `broker.nsq.tls` in the configuration.
//! - `ws`: WebSockets that end in order when the app stops, `bis::http::ws`.

// So that tests inside the crate can use the macros, which name `::bis`.
#[cfg(test)]
extern crate self as bis;

/// The README, so that its code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

// The rooms: ARCHITECTURE.md has their order, in which each uses only those below it.
mod app;
mod events;
pub mod http;
mod instance;
mod lifecycle;
mod state;
mod telemetry;
#[cfg(feature = "testing")]
mod testing;

pub mod drivers;
mod error;
mod json;
mod panics;
pub mod prelude;
pub mod time;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use app::App;
#[cfg(feature = "testing")]
pub use app::TestAppBuilder;
pub use bis_core::{Attributes, DeadLetter, DeadReason, EventId, Retention};
#[cfg(feature = "testing")]
pub use bis_macros::test;
#[cfg(not(feature = "testing"))]
pub use bis_macros::test_without_feature as test;
pub use bis_macros::{
    Event, allow, api, app, auth, background, mount, on_start, on_stop, resource, service, subscription,
};
pub use error::{Error, ErrorContext, FieldError, IntoError, Result};
pub use events::{
    Delivery, Event, Lagged, Listen, ListenError, Listener, NotScalar, Publish, PublishError, Published,
    Publishing, Topic,
};
pub use http::Auth;
#[cfg(feature = "garde")]
pub use http::Valid;
pub use instance::{Identity, NoApp, spawn, stopping};
pub use state::{NoResource, Resource};
#[cfg(feature = "testing")]
pub use testing::{
    AsUser, NotSettled, TestApp,
    chaos::{self, Chaos},
};

/// The logging facade that apps use.
pub use tracing;
