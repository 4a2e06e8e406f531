//! Looking into a channel. What it shows may have to be read from the disk first. It takes no message and settles none.

use std::io;
use std::sync::Arc;

use crate::files::fetch::{Fetched, Missing};
use crate::journal::Journal;
use crate::state::State;
use crate::state::delivery::{Peek, PeekPage, PeekedMessage};

/// The most messages that one peek shows.
const MAX_PEEK: usize = 1000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// There is no such topic.
    #[error("there is no such topic")]
    NoTopic,
    /// The topic has no such channel.
    #[error("the topic has no such channel")]
    NoChannel,
    /// The disk does not answer.
    #[error("the journal cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The journal is failed or stopping.
    #[error("{0}")]
    Refused(Arc<str>),
}

/// Unfinished messages of a channel, in the order of their sequences.
pub struct Peeked {
    /// The messages.
    pub messages: Vec<PeekedMessage>,
    /// Whether further ones follow the last.
    pub more: bool,
}

impl Journal {
    /// Up to `limit` unfinished messages after a sequence, 1000 at most.
    ///
    /// # Errors
    /// When there is no such topic or channel, or the disk cannot be read.
    pub async fn peek(
        &self,
        topic: &str,
        channel: &str,
        limit: usize,
        after: Option<u64>,
    ) -> Result<Peeked, InquiryError> {
        let mut page = PeekPage::new(after, limit.min(MAX_PEEK));
        let more = self
            .read_until(|state| {
                let number = existing(state, topic)?;
                match state.peek(number, channel, &mut page, self.clock().now()) {
                    None => Err(InquiryError::NoChannel),
                    Some(Peek::Done { more }) => Ok(Ok(more)),
                    Some(Peek::Missing(missing)) => Ok(Err(missing)),
                }
            })
            .await?;
        Ok(Peeked { messages: page.messages, more })
    }

    /// Looks under the lock, reads without it what the log lacks, and looks again until nothing is missing.
    pub(crate) async fn read_until<T>(
        &self,
        mut look: impl FnMut(&mut State) -> Result<Result<T, Missing>, InquiryError>,
    ) -> Result<T, InquiryError> {
        let mut fetched: Option<Fetched> = None;
        loop {
            let missing = {
                let mut state = self.lock();
                if let Some(fetched) = fetched.take() {
                    state.log.supply(fetched);
                }
                match look(&mut state)? {
                    Ok(found) => return Ok(found),
                    Err(missing) => missing,
                }
            };
            fetched = Some(self.fetch(missing).await?);
        }
    }
}

/// The number of a topic that must be there.
pub(crate) fn existing(state: &State, topic: &str) -> Result<u32, InquiryError> {
    state.number_of(topic).ok_or(InquiryError::NoTopic)
}
