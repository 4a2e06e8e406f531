//! What an operator can do with the events of a running app: look at topics and subscriptions, publish, follow, replay and
//! remove; list dead letters, send them again and remove them. Commands, console and tools for agents build on it, so that
//! each operation is implemented once.
//!
//! It reaches the broker through the drivers that apps link. What only the router's HTTP API can do (listing, removing, and
//! messages without an envelope) is in one client, whose error is [`RouterError`]. Nothing here prints, prompts or knows
//! about a command line.

mod admin;
mod api;
mod event_json;
mod follow;
mod letters;
mod resend;
mod topics;

pub use admin::{Admin, Place};
pub use api::RouterError;
pub use event_json::{Data, EventJson};
pub use follow::{Follow, Following};
pub use letters::{Cause, Filter, Group, Letter, LetterError, Letters};
pub use resend::{Resending, Resent, Stays};
pub use topics::{Subscription, Topic, TopicError};

pub use bis_broker::{ReplayFrom, Replayed, Waiting, WaitingState};
pub use bis_nsq::client::HttpAddress;
