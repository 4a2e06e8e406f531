//! Inspects and moves channels, over a separate connection each time: inquiries are rare, and must not wait behind publishes
//! or deliveries.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{ConnectError, Connection, Options};
use crate::{
    Command, FEATURE_PEEK, FEATURE_REPLAY, FEATURE_RETENTION, Name, OK, PeekPage, ReplayFrom, Replayed,
};

/// Shows up to `limit` unfinished messages of a channel, only those after a position in the topic if one is given, and
/// takes none. [`ConnectError::Lacks`] when the server does not offer [`FEATURE_PEEK`].
pub async fn peek(
    options: &Options,
    topic: &Name,
    channel: &Name,
    limit: u32,
    after: Option<u64>,
) -> Result<PeekPage, ConnectError> {
    let (topic, channel) = (topic.clone(), channel.clone());
    inquire(options, FEATURE_PEEK, &Command::Peek { topic, channel, limit, after }).await
}

/// Moves a channel: everything from a position on is delivered (again). Resolves when the server has stored
/// the move durably. [`ConnectError::Lacks`] when the server does not offer [`FEATURE_REPLAY`].
pub async fn replay(
    options: &Options,
    topic: &Name,
    channel: &Name,
    from: ReplayFrom,
) -> Result<Replayed, ConnectError> {
    let (topic, channel) = (topic.clone(), channel.clone());
    inquire(options, FEATURE_REPLAY, &Command::Replay { topic, channel, from }).await
}

/// Sets how long, in whole seconds, a topic keeps messages that every channel has finished, and roughly how many bytes of them.
/// Resolves when the server has stored the setting durably. [`ConnectError::Lacks`] when the server does not offer
/// [`FEATURE_RETENTION`].
pub async fn retain(
    options: &Options,
    topic: &Name,
    max_age: Duration,
    max_bytes: u64,
) -> Result<(), ConnectError> {
    let command = Command::Retain { topic: topic.clone(), max_age, max_bytes };
    let answer = ask(options, FEATURE_RETENTION, &command).await?;
    if answer == OK { Ok(()) } else { Err(ConnectError::unexpected(&answer)) }
}

async fn inquire<T: DeserializeOwned>(
    options: &Options,
    feature: &'static str,
    command: &Command,
) -> Result<T, ConnectError> {
    let answer = ask(options, feature, command).await?;
    serde_json::from_slice(&answer).map_err(|_| ConnectError::unexpected(&answer))
}

async fn ask(options: &Options, feature: &'static str, command: &Command) -> Result<Bytes, ConnectError> {
    let mut connection = Connection::open(options).await?;
    if !connection.server().offers(feature) {
        return Err(ConnectError::Lacks(feature));
    }
    let answer = timeout(options.answer_wait, connection.ask(command)).await;
    let answer = answer.map_err(|_| ConnectError::Timeout(options.answer_wait))??;
    connection.finish(options.connect_timeout).await;
    Ok(answer)
}
