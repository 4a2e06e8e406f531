//! Event-driven backends in Rust: topics, subscriptions, services and APIs as typed items.
