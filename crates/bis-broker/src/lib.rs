//! The contract that every broker keeps, and the channel state machine behind Bis's own brokers.
//!
//! A [`Broker`] takes events and gives deliveries; it knows nothing of handlers, retry policies, timeouts or dead letters,
//! which live in one place of the runtime and so behave the same on every broker. This crate does no I/O and knows no
//! async runtime, no wire format and no HTTP.

pub mod channel;

mod broker;
mod delivery;
mod error;
mod event_window;
mod future;
mod lease;
mod number_map;
mod receipt;
mod topology;
pub mod varint;
mod waiting;

pub use broker::{Broker, Consumer, Outgoing};
pub use delivery::{Deliveries, Delivery, History, Settle, Settled, Settlement, Verdict};
pub use error::{ConsumeError, EnsureError, InquiryError, PublishError, SettleError};
pub use event_window::{EventKey, EventWindow};
pub use future::{Answer, BoxFuture, Wait};
pub use lease::{Extender, LeaseToken};
pub use number_map::{NumberHasher, NumberMap};
pub use receipt::Receipt;
pub use topology::{SubscriptionSpec, TopicSpec, Topology};
pub use waiting::{Page, ReplayFrom, Replayed, Waiting, WaitingState};
