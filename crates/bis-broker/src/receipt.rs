//! What a broker reports about an event that it has taken.

/// The broker has the event, as durably as its capabilities say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the topic on this broker, where the broker says it: later events have higher ones. It is the `position` of
    /// a [`Waiting`](crate::Waiting) event, and where a replay may begin.
    pub position: Option<u64>,
    /// Whether the broker had this event already and recognized it by its [identity](bis_core::Envelope::identity): then it
    /// was not stored a second time, and `position` is where it was stored before. For brokers with deduplication.
    pub duplicate: bool,
}
