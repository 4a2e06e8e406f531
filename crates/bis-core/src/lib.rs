//! The vocabulary that every part of Bis shares: names, ids, policies, the event envelope, dead letters and what each broker
//! can do. It does no I/O, reads no clock and knows no async runtime.

pub mod capabilities;
pub mod codes;
pub mod dead_letter;
pub mod duration;
pub mod envelope;
pub mod event_id;
pub mod handover;
pub mod name;
pub mod policy;
pub mod prometheus;
pub mod redaction;
pub mod resource;
pub mod route;
pub mod secret;
pub mod short_text;
pub mod size;
pub mod text;

pub use capabilities::{AttributeLimits, BatchSize, BrokerKind, Capabilities, Deduplication, OrderScope};
pub use dead_letter::{DeadLetter, DeadReason};
pub use duration::{format_duration, parse_duration};
pub use envelope::{Attributes, Envelope, NotAnEnvelope, TraceContext};
pub use event_id::{EventId, MAX_EVENT_ID_BYTES};
pub use name::{
    AppName, InvalidName, NameRules, Namespace, PhysicalName, ReservedTopic, ServiceName, SubscriptionName,
    TopicName, name_error,
};
pub use policy::{BatchPolicy, RestartPolicy, Retention, RetryPolicy, SubscriptionPolicy};
pub use resource::ResourceKind;
pub use secret::Secret;
pub use short_text::ShortText;
pub use size::{format_size, parse_size};
