//! The bound on what channels have not handled, and what happens at it.

use std::str::FromStr;

/// How much may wait. Whole journal segments count, once each, however many channels have yet to handle them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// The most bytes in sealed segments with something unhandled. `None`, unless set: the disk is the bound, and publishes
    /// are refused when it is full.
    pub bytes: Option<u64>,
    /// What happens beyond.
    pub policy: BacklogPolicy,
}

/// What happens when the backlog is at its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BacklogPolicy {
    /// Publishes are refused until consumers have caught up. Nothing is lost.
    #[default]
    Refuse,
    /// The oldest segment's messages are dropped in every channel, counted and logged.
    DropOldest,
}

/// A policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a backlog policy; use `refuse` or `drop-oldest`")]
pub struct BacklogPolicyError(String);

impl FromStr for BacklogPolicy {
    type Err = BacklogPolicyError;

    fn from_str(text: &str) -> Result<Self, BacklogPolicyError> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "drop-oldest" => Ok(Self::DropOldest),
            _ => Err(BacklogPolicyError(text.to_owned())),
        }
    }
}
