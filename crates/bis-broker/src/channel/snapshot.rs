//! What of a channel must survive a restart, as plain data.
//!
//! The cursor is not part of it: a restored channel walks again from its floor, over what is not finished.

use super::Time;

/// A channel's durable state. Whoever stores it chooses the encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything below this sequence is finished.
    pub floor: u64,
    /// Finished ranges above the floor, `(start, end)` with the end excluded, in order.
    pub finished: Vec<(u64, u64)>,
    /// Unfinished messages that were handed out before or have a retry time, in order.
    pub recalled: Vec<Recalled>,
    /// Whether the channel is paused.
    pub paused: bool,
}

/// What is remembered of one unfinished message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The message.
    pub sequence: u64,
    /// How often it was handed out and not taken back uncounted.
    pub attempts: u32,
    /// When it may be handed out again; [`Time::ZERO`] for at once.
    pub due: Time,
}
