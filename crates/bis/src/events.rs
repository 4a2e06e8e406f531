//! Events: topics, publishing, what a handler is given, and the runtime that delivers. It knows nothing of HTTP.

mod bus;
mod deliveries;
pub(crate) mod delivery;
mod entry;
pub mod event;
pub mod handler;
pub mod in_process;
mod listen;
mod metrics;
pub(crate) mod publish;
mod runtime;
mod subsystem;
mod topic;

pub(crate) use bus::Bus;
pub(crate) use deliveries::{Connection, Deliveries};
pub use delivery::Delivery;
pub use entry::SubscriptionEntry;
pub use event::{Event, NotScalar};
pub use listen::{Lagged, Listen, ListenError, Listener};
pub use publish::{Publish, PublishError, Published, Publishing};
pub(crate) use subsystem::Events;
pub use topic::Topic;
