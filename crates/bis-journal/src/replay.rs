//! Replay: a channel goes back (or on) to a sequence or a time.
//!
//! A time is looked up by halving: among the pieces of the topic that are kept, then within one. It takes the publish times
//! to rise with the sequences, as they do unless the machine's clock goes back; then it may land a little off. Nothing is
//! read under the state's lock.

use tokio::task::yield_now;

use crate::files::record;
use crate::inquiry::{InquiryError, existing};
use crate::journal::Journal;
use crate::state::replay::Replayed;

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// At this sequence, or at the next that is kept.
    Sequence(u64),
    /// At the first message that was published at this time or later, in nanoseconds since 1970.
    Time(u64),
}

impl Journal {
    /// Everything from a place on comes (again); resolves once that is in the journal.
    ///
    /// # Errors
    /// When there is no such topic or channel, the disk cannot be read, or the change was not committed.
    pub async fn replay(
        &self,
        topic: &str,
        channel: &str,
        from: ReplayFrom,
    ) -> Result<Replayed, InquiryError> {
        let to = match from {
            ReplayFrom::Sequence(sequence) => sequence,
            ReplayFrom::Time(time) => first_at(self, topic, time).await?,
        };
        let oldest = self.oldest(topic).await?;
        let (replayed, ticket) = {
            let mut state = self.lock();
            state.check_open().map_err(InquiryError::Refused)?;
            let number = existing(&state, topic)?;
            (state.replay(number, channel, to, oldest).ok_or(InquiryError::NoChannel)?, state.ticket())
        };
        self.kick();
        self.decided(ticket).await.map_err(InquiryError::Refused)?;
        let Replayed { from, messages } = replayed;
        tracing::info!(topic, channel, from, messages, "a channel is replayed");
        Ok(replayed)
    }
}

impl Journal {
    /// The first message of a topic that its own retention lets come again; 0 when it has none.
    async fn oldest(&self, topic: &str) -> Result<u64, InquiryError> {
        let (retention, by_bytes) = {
            let state = self.lock();
            let number = existing(&state, topic)?;
            let Some(retention) = state.topics.get(&number).and_then(|topic| topic.retention) else {
                return Ok(0);
            };
            (retention, state.first_within(number, retention.max_bytes))
        };
        let age = u64::try_from(retention.max_age.as_nanos()).unwrap_or(u64::MAX);
        let since = self.clock.date().0.saturating_sub(age);
        Ok(first_at(self, topic, since).await?.max(by_bytes))
    }
}

/// The first kept message of a topic that was published at a time or later; one past the last when none was.
async fn first_at(journal: &Journal, topic: &str, time: u64) -> Result<u64, InquiryError> {
    let (number, pieces) = {
        let state = journal.lock();
        let number = existing(&state, topic)?;
        (number, state.log.kept(number))
    };
    // The last piece that begins before that time is where it lies.
    let (mut low, mut high) = (0, pieces.len());
    while low < high {
        let middle = low.midpoint(high);
        let (start, end) = pieces[middle];
        if is_before(journal, number, start, end, time).await? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some((start, end)) = low.checked_sub(1).map(|piece| pieces[piece]) else {
        return Ok(pieces.first().map_or(0, |(start, _)| *start));
    };
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(journal, number, middle, high, time).await? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Whether the first message of `start..end` that can be read was published before a time; false when none can be.
async fn is_before(
    journal: &Journal,
    topic: u32,
    start: u64,
    end: u64,
    time: u64,
) -> Result<bool, InquiryError> {
    for sequence in start..end {
        let record = journal.read_until(|state| Ok(state.log.record(topic, sequence))).await?;
        if let Some(header) = record.as_deref().and_then(record::header) {
            return Ok(header.published < time);
        }
        // Many may be damaged, and at hand.
        yield_now().await;
    }
    Ok(false)
}
