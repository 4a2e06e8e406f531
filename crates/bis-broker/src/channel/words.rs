//! What goes into and comes out of a channel: plain data, the errors, and the view of the topic's store.
//!
//! It holds no rule of delivery.

use std::num::NonZeroU64;

use super::Time;

/// Who holds a message in flight: a connection, or a subscription's worker. Unique within the channel's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// One process, whichever consumers it uses: a number that a process makes up when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub NonZeroU64);

/// Who takes a message, and on which terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// The consumer.
    pub consumer: ConsumerId,
    /// When the lease ends unless it is extended.
    pub until: Time,
    /// What it means when the consumer goes without an answer, or lets the lease end.
    pub vanishing: Vanishing,
    /// Whether it may be given a suspect now.
    pub suspects: Suspects,
}

/// What it means for a message that its consumer vanished: its connection is gone, or its lease ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanishing {
    /// It was an attempt like any other.
    Counts,
    /// Any message in flight may have ended the consumer: each comes back as a *suspect*, uncounted. Suspects are handed out
    /// one at a time, so that the next time the one that was out is blamed: for a suspect it is an attempt, and a crash. When
    /// this process, where it is known, shows that it lives, it takes all of that back: [`Channel::acquit`].
    ///
    /// [`Channel::acquit`]: super::Channel::acquit
    Suspects(Option<ProcessId>),
}

/// Why a consumer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It left, or nothing is known: its [`Vanishing`] says what that means.
    Vanished,
    /// The owner ended it, for reasons of its own, which says nothing about what the consumer held.
    Dismissed,
}

/// Whether a consumer may be given a suspect. Of suspects, its owner lets it have one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspects {
    /// The next one, when it is its turn.
    Allowed,
    /// None now.
    Withheld,
}

/// What a channel must know of a message to place it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The earliest time of the first delivery; [`Time::ZERO`] for at once.
    pub due: Time,
    /// The hash of the ordering key, where there is one: of equal keys one is in flight at a time, in order.
    pub key: Option<u64>,
}

/// The topic's store, as far as a channel looks into it.
pub trait Source {
    /// Why the facts are not available now: for example because they must be read from a disk first.
    type Error;

    /// The facts of a stored message, or `None` when it is gone (expired, or set aside as damaged): the channel then
    /// counts it as finished.
    ///
    /// # Errors
    /// When it is not available now; the channel stays as it was for this message, and asks for it again.
    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Self::Error>;
}

/// Bounds on what a channel keeps in memory. At a bound the cursor waits, and only what is held is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most held messages: in flight, ready again, or deferred (a first delivery within about a minute, or a retry).
    /// About 150 bytes each; 1,000,000 unless set.
    pub held: usize,
    /// The most memory for lists, in bytes: messages parked behind an ordering key, and those whose first delivery is more
    /// than about a minute ahead. One to three bytes each where they lie close; 64 MiB unless set. What is finished above
    /// the floor is beside it, at about a bit each.
    pub listed_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held: 1_000_000, listed_bytes: 64 * 1024 * 1024 }
    }
}

/// A message handed to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handout {
    /// Which message of the topic.
    pub sequence: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether it is a suspect.
    pub suspect: bool,
    /// How often a consumer vanished with it as the suspect that it had.
    pub crashes: u32,
    /// How often the message was replayed.
    pub generation: u32,
}

/// A message in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub consumer: ConsumerId,
    /// When it was handed out.
    pub delivered: Time,
    /// When it is taken back unless the consumer answers or extends.
    pub until: Time,
    /// Which attempt this is.
    pub attempt: u32,
}

/// Where an unfinished message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waits for a consumer, or for an earlier message with its key.
    Ready,
    /// Waits for its time.
    Deferred {
        /// When that is.
        due: Time,
    },
    /// With a consumer.
    InFlight {
        /// Which one.
        consumer: ConsumerId,
    },
}

/// One unfinished message, as [`Channel::peek`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Which message of the topic.
    pub sequence: u64,
    /// How often it was handed out.
    pub attempts: u32,
    /// Where it is.
    pub standing: Standing,
}

/// What happened on a channel since it was made or restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Deliveries handed out.
    pub handed_out: u64,
    /// Messages finished.
    pub finished: u64,
    /// Deliveries that came back through `retry` or a disconnect.
    pub requeued: u64,
    /// Deliveries whose lease ran out.
    pub expired: u64,
    /// Messages that were passed over because they are not stored any more.
    pub gone: u64,
}

/// The message is not in flight with this consumer: it was finished, given back, or its lease ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message `{sequence}` is not in flight with this consumer")]
pub struct NotInFlight {
    /// Which message.
    pub sequence: u64,
}

/// Why [`Channel::finish_idle`] did not finish a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishIdleError {
    /// There is no such unfinished message.
    #[error("message `{0}` is not in this channel")]
    NotFound(u64),
    /// A consumer has it; only that consumer may finish it.
    #[error("message `{0}` is in flight")]
    InFlight(u64),
}
