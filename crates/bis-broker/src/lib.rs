//! The contract that every broker keeps, and the channel state machine behind Bis's own brokers.
