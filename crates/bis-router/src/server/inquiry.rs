//! Looking into a channel, and moving it: what clients ask for that may have to wait for the disk, over HTTP and over TCP
//! alike, in NSQ's words. It takes no message and settles none.

use bis_broker::BoxFuture;
use bis_broker::channel::Standing;
use bis_journal::{InquiryError, PeekedMessage};
use bis_nsq::{MessageId, Name, PeekPage, ProtocolError, ReplayFrom, Replayed, WaitingMessage, WaitingState};
use bytes::Bytes;
use serde::Serialize;

use super::Server;
use super::answers::Answer;

/// An answer that is being made. No command is carried out meanwhile.
pub(super) type Inquiry = BoxFuture<'static, Answer>;

/// The answer over TCP.
pub(super) fn answer<T: Serialize>(
    outcome: Result<T, InquiryError>,
    refusal: fn(&str) -> ProtocolError,
) -> Answer {
    let outcome = outcome.map_err(|error| words(&error));
    match outcome.and_then(|reply| serde_json::to_vec(&reply).map_err(|error| error.to_string())) {
        Ok(reply) => Answer::Now(Bytes::from(reply)),
        Err(reason) => Answer::Error(refusal(&reason).to_string()),
    }
}

/// Why there is no answer, in the words of NSQ's HTTP API.
pub(super) fn words(error: &InquiryError) -> String {
    match error {
        InquiryError::NoTopic => "TOPIC_NOT_FOUND".to_owned(),
        InquiryError::NoChannel => "CHANNEL_NOT_FOUND".to_owned(),
        error => error.to_string(),
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
    let page = server.journal.peek(topic.as_str(), channel.as_str(), limit, after).await?;
    Ok(PeekPage { messages: page.messages.into_iter().map(waiting).collect(), more: page.more })
}

/// Everything from a place on comes (again).
pub(super) async fn replay(
    server: &Server,
    topic: &Name,
    channel: &Name,
    from: ReplayFrom,
) -> Result<Replayed, InquiryError> {
    let from = match from {
        ReplayFrom::Sequence(sequence) => bis_journal::ReplayFrom::Sequence(sequence),
        ReplayFrom::Time(time) => bis_journal::ReplayFrom::Time(time),
    };
    let bis_journal::Replayed { from, messages } =
        server.journal.replay(topic.as_str(), channel.as_str(), from).await?;
    Ok(Replayed { from, messages })
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
