//! Looking into a channel, and moving it: what clients ask for that may have to wait for the disk, over HTTP and over TCP
//! alike. It takes no message and settles none.

use std::io;
use std::sync::Arc;

use bis_broker::BoxFuture;
use bis_broker::channel::Standing;
use bis_nsq::{MessageId, Name, PeekPage, ProtocolError, WaitingMessage, WaitingState};
use bytes::Bytes;
use serde::Serialize;

use super::Server;
use super::answers::Answer;
use crate::journal::fetch::{Fetched, Missing};
use crate::state::State;
use crate::state::delivery::{self, Peek, PeekedMessage};

/// The most messages that one peek shows.
const MAX_PEEK: usize = 1000;

/// An answer that is being made. No command is carried out meanwhile.
pub(super) type Inquiry = BoxFuture<'static, Answer>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum InquiryError {
    #[error("TOPIC_NOT_FOUND")]
    NoTopic,
    #[error("CHANNEL_NOT_FOUND")]
    NoChannel,
    #[error("the journal cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The router is failed or stopping.
    #[error("{0}")]
    Refused(Arc<str>),
}

/// The answer over TCP.
pub(super) fn answer<T: Serialize>(
    outcome: Result<T, InquiryError>,
    refusal: fn(&str) -> ProtocolError,
) -> Answer {
    let outcome = outcome.map_err(|error| error.to_string());
    match outcome.and_then(|reply| serde_json::to_vec(&reply).map_err(|error| error.to_string())) {
        Ok(reply) => Answer::Now(Bytes::from(reply)),
        Err(reason) => Answer::Error(refusal(&reason).to_string()),
    }
}

/// Up to `limit` unfinished messages after a sequence.
pub(super) async fn peek(
    server: &Server,
    topic: &Name,
    channel: &Name,
    limit: usize,
    after: Option<u64>,
) -> Result<PeekPage, InquiryError> {
    let mut page = delivery::PeekPage::new(after, limit.min(MAX_PEEK));
    let more = read_until(server, |state| {
        let number = existing(state, topic)?;
        match state.peek(number, channel, &mut page, server.shared.clock.now()) {
            None => Err(InquiryError::NoChannel),
            Some(Peek::Done { more }) => Ok(Ok(more)),
            Some(Peek::Missing(missing)) => Ok(Err(missing)),
        }
    })
    .await?;
    Ok(PeekPage { messages: page.messages.into_iter().map(waiting).collect(), more })
}

fn waiting(message: PeekedMessage) -> WaitingMessage {
    let PeekedMessage { peeked, published, body } = message;
    let state = match peeked.standing {
        Standing::Ready => WaitingState::Ready,
        Standing::Deferred { .. } => WaitingState::Deferred,
        Standing::InFlight { .. } => WaitingState::InFlight,
    };
    WaitingMessage {
        sequence: peeked.sequence,
        id: MessageId::from_number(peeked.sequence),
        timestamp_ns: published,
        attempts: peeked.attempts,
        state,
        body: body.into(),
    }
}

/// Looks under the lock, reads without it what the log lacks, and looks again until nothing is missing.
pub(super) async fn read_until<T>(
    server: &Server,
    mut look: impl FnMut(&mut State) -> Result<Result<T, Missing>, InquiryError>,
) -> Result<T, InquiryError> {
    let mut fetched: Option<Fetched> = None;
    loop {
        let missing = {
            let mut state = server.shared.lock();
            if let Some(fetched) = fetched.take() {
                state.log.supply(fetched);
            }
            match look(&mut state)? {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            }
        };
        fetched = Some(server.shared.fetch(missing).await?);
    }
}

/// The number of a topic that must be there.
pub(super) fn existing(state: &State, topic: &Name) -> Result<u32, InquiryError> {
    state.number_of(topic.as_str()).ok_or(InquiryError::NoTopic)
}
