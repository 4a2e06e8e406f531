//! `bis topic`: lists topics and waiting events, follows events, publishes one, replays some, and removes topics.

mod ls;
mod publish;
mod replay;
mod rm;
mod tail;

use std::process::ExitCode;

use anyhow::Result;
use bis_admin::ReplayFrom;

use crate::arguments::Topic;
use crate::exit;
use crate::redaction::Redaction;

/// Runs one of the commands on topics.
pub(crate) fn run(arguments: Topic) -> Result<ExitCode> {
    match arguments {
        Topic::Ls { place, format } => ls::run(&place, format)?,
        Topic::Tail { topic, limit, reveal, place, format } => {
            let redaction = Redaction::new(&place, reveal)?;
            tail::run(tail::Tail { topic, limit, redaction, format }, &place)?;
        }
        Topic::Publish { topic, event, raw, key, force, place, format } => {
            publish::run(&publish::Event { topic, text: event, raw, key, force }, &place, format)?;
        }
        Topic::Rm { topic, subscription, yes, place, format } => {
            rm::run(&rm::Remove { topic, subscription, yes }, &place, format)?;
        }
        Topic::Replay { topic, subscription, from, place, format } => {
            let from = match (from.since, from.from) {
                (Some(moment), _) => ReplayFrom::Time(moment.time()),
                (None, place) => ReplayFrom::Position(place.unwrap_or(0)),
            };
            replay::run(&replay::Request { topic, subscription, from }, &place, format)?;
        }
    }
    Ok(exit::DONE.into())
}
