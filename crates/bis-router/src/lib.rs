//! The durable event router that speaks NSQ.
