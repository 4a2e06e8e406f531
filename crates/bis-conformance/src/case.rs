//! A case as data: its name, which lines of the contract it tests, and where it can run at all.

use std::{fmt, future::Future, pin::Pin};

use crate::Context;

/// A future of a case, borrowing its context.
pub type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One line of the contract (section 5 of the design, "The broker contract").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// At least once, also when the consumer crashes.
    AtLeastOnce,
    /// An event that is published before its subscription's first consumer connects is kept.
    KeptFromTheStart,
    /// Order by key where claimed.
    OrderByKey,
    /// Attributes and bytes unchanged.
    Unchanged,
    /// Retry times within bounds.
    RetryTimes,
    /// Attempts counted.
    AttemptsCounted,
    /// Nothing lost when the process stops between any two steps.
    NothingLost,
    /// The lease extended while the handler runs.
    LeaseExtended,
    /// Drained on SIGTERM without duplicates beyond those in flight.
    Drained,
    /// The bound on concurrency kept: no more events are asked for than there are free handlers.
    ConcurrencyBound,
    /// A panic isolated.
    PanicIsolated,
    /// Reconnected after the broker restarts.
    Reconnected,
    /// A publish fails when the broker did not take it.
    PublishFails,
    /// What was never started is returned uncounted, where offered.
    ReturnedUncounted,
    /// Each publish answered with a receipt: the place in the topic, and whether the event was known, where offered.
    Receipts,
    /// Deduplicated by event id, where offered.
    Deduplicated,
    /// What waits is shown without being taken, where offered.
    Peeked,
    /// What was handled comes again when asked, where offered.
    Replayed,
    /// Published events reach listeners, and nothing is kept for them.
    Listened,
    /// What a broker cannot do is refused with an error that says so.
    Refused,
}

impl Promise {
    /// Every line.
    pub const ALL: &[Self] = &[
        Self::AtLeastOnce,
        Self::KeptFromTheStart,
        Self::OrderByKey,
        Self::Unchanged,
        Self::RetryTimes,
        Self::AttemptsCounted,
        Self::NothingLost,
        Self::LeaseExtended,
        Self::Drained,
        Self::ConcurrencyBound,
        Self::PanicIsolated,
        Self::Reconnected,
        Self::PublishFails,
        Self::ReturnedUncounted,
        Self::Receipts,
        Self::Deduplicated,
        Self::Peeked,
        Self::Replayed,
        Self::Listened,
        Self::Refused,
    ];
}

impl Promise {
    /// The line, as it is worded in the documentation's table.
    pub fn text(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at least once, also when the consumer crashes",
            Self::KeptFromTheStart => "what is published before the first consumer is kept",
            Self::OrderByKey => "order by key where claimed",
            Self::Unchanged => "attributes and bytes unchanged",
            Self::RetryTimes => "retry times within bounds",
            Self::AttemptsCounted => "attempts counted",
            Self::NothingLost => "nothing lost when the process stops between any two steps",
            Self::LeaseExtended => "lease extended while the handler runs",
            Self::Drained => "drain on SIGTERM without duplicates beyond those in flight",
            Self::ConcurrencyBound => "concurrency bound kept",
            Self::PanicIsolated => "panic isolated",
            Self::Reconnected => "reconnect after the broker restarts",
            Self::PublishFails => "publish fails when the broker did not take it",
            Self::ReturnedUncounted => "what never started is returned, uncounted where offered",
            Self::Receipts => "a receipt says place and duplicate where offered",
            Self::Deduplicated => "deduplication where offered",
            Self::Peeked => "what waits is shown without being taken, where offered",
            Self::Replayed => "what was handled comes again when asked, where offered",
            Self::Listened => "what is published comes to those who listen, and nothing is kept for them",
            Self::Refused => "what a broker cannot do is refused with a clear error",
        }
    }
}

/// Where a case can run at all. In-process and router agree in every case that has no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Only on a broker that survives its own kill.
    Durable,
    /// Only on a broker that is a process of its own, with clients in several.
    MultiProcess,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "durable",
            Self::MultiProcess => "multi-process",
        })
    }
}

/// One case of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it states, as a name.
    pub name: &'static str,
    /// What it tests.
    pub promises: &'static [Promise],
    /// Where it can run.
    pub tags: &'static [Tag],
    /// Runs it; panics where the contract is broken.
    pub run: for<'a> fn(&'a Context) -> CaseFuture<'a>,
}
