//! The part of a channel that must survive a restart, as plain data.
//!
//! The cursor is not part of it: a restored channel walks again from its floor, over what is not finished.

use super::{SequenceSet, Time};

/// A channel's durable state. Its owner chooses the encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything below this sequence is finished.
    pub floor: u64,
    /// What is finished above the floor.
    pub finished: SequenceSet,
    /// Unfinished messages with attempts, with a retry time, or under suspicion, in order.
    pub recalled: Vec<Recalled>,
    /// Messages that wait for a far time, never handed out, by the time at which to look at them again: the bytes of a
    /// [`SequenceSet`] each. It may be left out: then the channel finds them again by walking over them.
    pub far: Vec<(Time, Vec<u8>)>,
    /// How often messages were replayed: from each of these sequences on, up to the next one.
    pub generations: Vec<(u64, u32)>,
    /// Whether the channel is paused.
    pub paused: bool,
}

/// What is remembered of one unfinished message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// The message.
    pub sequence: u64,
    /// How many attempts were made: deliveries that ended, and were not taken back uncounted.
    pub attempts: u32,
    /// When it may be handed out again; [`Time::ZERO`] for at once.
    pub due: Time,
    /// Whether its last consumer vanished, and it is to be handed out alone.
    pub suspect: bool,
    /// How often a consumer vanished with it as the suspect that it had.
    pub crashes: u32,
}
