//! Seeded faults: everything that a broker may do to an app without breaking its contract, done on purpose.
//!
//! At least once means that an event may come twice, late, beside a later one, or while the broker restarts. Handlers
//! that do not tolerate this pass in every quiet test. A test with chaos shows it:
//!
//! ```
//! # use std::sync::atomic::{AtomicU64, Ordering};
//! # use bis::prelude::*;
//! # mod this { bis::service!("orders"); bis::app!(services: [crate::this]); }
//! # use this::app;
//! # #[derive(Event, Serialize, Deserialize)]
//! # pub struct Paid { pub cents: u64 }
//! # pub static PAID: Topic<Paid> = Topic::new("paid");
//! static TOTAL: AtomicU64 = AtomicU64::new(0);
//!
//! // Counts an event again when it comes again: its effect is not idempotent.
//! #[subscription(PAID)]
//! async fn count(paid: Paid) -> Result<()> {
//!     TOTAL.fetch_add(paid.cents, Ordering::Relaxed);
//!     Ok(())
//! }
//!
//! // Runs once with each seed; fails with the first one that has `count` get an event twice.
//! #[bis::test(app = app, chaos = 0..20)]
//! async fn money_is_counted_once(app: TestApp) -> Result<()> {
//!     TOTAL.store(0, Ordering::Relaxed);
//!     for _ in 0..10 {
//!         app.publish(&PAID, &Paid { cents: 5 }).await?;
//!     }
//!     app.settle().await;
//!     assert_eq!(TOTAL.load(Ordering::Relaxed), 50);
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! The failure names the seed and how to run it alone: `BIS_CHAOS=3 cargo test money_is_counted_once`. The remedy is to
//! remember what was done, by the event's [id](crate::Delivery::id) or by what the event is about, such as an order's
//! number; `examples/shop` does.
//!
//! # What happens, and what never does
//!
//! | Fault | Setting | Default |
//! |---|---|---|
//! | An ack is lost: the event comes again, counted as one more attempt | [`Chaos::duplicates`] | 0.2 of acks |
//! | A delivery, or an event on its way in, is late | [`Chaos::delays`] | 0.2 of events |
//! | Deliveries that arrive together are handed out in another order | [`Chaos::reordering`] | 0.3 of arrivals |
//! | A publish fails, and the event was taken or not | [`Chaos::publish_errors`] | 0.1 of events |
//! | The broker restarts: what is in flight comes again while its handler still runs, and publishes fail | [`Chaos::restarts`] | 0.02 of acks |
//!
//! - The contract holds. What a publish reported as taken is delivered, bytes unchanged; events of one key on an ordered
//!   topic come one at a time and in order; a wait for a retry is never shortened.
//! - A correct app passes. Faults that cost an attempt strike only the first attempt of an event at a subscription, so
//!   that no event runs out of attempts by chaos alone, unless `retry(max = 1)` allows a single one. Publishes fail in
//!   handlers, which are retried, and not in endpoints or in the test itself: [`Chaos::requests_too`] changes that.
//! - Publishing is at least once too: a handler that is retried publishes again, under another id. So
//!   [`TestApp::published`](crate::TestApp::published) may hold an event twice under chaos; compare effects instead.
//!
//! What happens follows from the seed: each topic and subscription has random numbers of its own, and in tests time is
//! virtual and the jitter of retries is seeded too. What the app itself decides at random, by real time, or on other
//! threads, does not repeat.
//!
//! # In a running app
//!
//! `BIS_CHAOS=42` in the environment injects the same faults into a running app, on any broker;
//! `BIS_CHAOS=42,duplicates=0.5,restarts=0` sets rates (see [`Chaos`]'s `FromStr`). `bis run --chaos 42` sets it, and
//! restarts the router for real. An app that was built without the feature `testing` of `bis`, as releases are, refuses the variable;
//! `bis run --chaos` builds with it. The log reports each fault at `debug`, the seed at the start, and the sum at the
//! end. Without the variable none of this affects an event.

mod broker;
mod consumer;
mod dice;
mod faults;
mod in_flight;
mod settings;

pub use broker::ChaosBroker;
pub use faults::Faults;
pub use settings::{Chaos, InvalidChaos};

/// The environment variable that injects faults into a running app, and replaces the seed of tests with chaos.
pub const VARIABLE: &str = bis_core::handover::CHAOS;

/// What [`VARIABLE`] asks for; `None` when it is not set or empty.
///
/// # Errors
/// When its value is not a valid one.
pub(crate) fn from_env() -> Result<Option<Chaos>, InvalidChaos> {
    match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => text.parse().map(Some),
        _ => Ok(None),
    }
}
