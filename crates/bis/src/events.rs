//! Events: topics, publishing, what a handler is given, and the runtime that delivers. It knows nothing of HTTP.

pub(crate) mod delivery;
pub(crate) mod entry;
pub mod event;
pub mod handler;
pub mod in_process;
pub(crate) mod publish;
pub(crate) mod runtime;
pub(crate) mod topic;

pub use delivery::Delivery;
pub(crate) use entry::Subscribed;
pub use entry::SubscriptionEntry;
pub use event::{Event, NotScalar};
pub use publish::{Publish, PublishError};
pub use topic::Topic;
pub(crate) use topic::TopicInfo;
