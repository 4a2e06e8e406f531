//! `bis topic`: topics and what waits there, following events, publishing one, replaying some, removing what is not needed.

mod ls;
mod publish;
mod replay;
mod rm;
mod tail;

use std::process::ExitCode;

use anyhow::Result;
use bis_nsq::ReplayFrom;

use crate::arguments::Topic;
use crate::exit;
use crate::failure::Failure;
use crate::redaction::Redaction;
use crate::router_client::TopicStats;

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
                (Some(moment), _) => ReplayFrom::Time(moment.nanoseconds()),
                (None, place) => ReplayFrom::Sequence(place.unwrap_or(0)),
            };
            replay::run(&replay::Request { topic, subscription, from }, &place, format)?;
        }
    }
    Ok(exit::DONE.into())
}

/// The failure that a topic's name leads to, with the names that would have worked.
fn unknown_topic(topic: &str, known: &[&str]) -> Failure {
    let failure = Failure::new(exit::NOT_FOUND, format!("there is no topic `{topic}`"));
    if known.is_empty() {
        return failure.help("there is no topic at all yet; the application makes its topics when it starts");
    }
    failure.help(format!("there are: `{}`", known.join("`, `")))
}

/// The failure that a subscription's name leads to, with the names that would have worked.
fn unknown_subscription(topic: &TopicStats, name: &str) -> Failure {
    let failure =
        Failure::new(exit::NOT_FOUND, format!("`{}` has no subscription `{name}`", topic.topic_name));
    let known: Vec<&str> = topic.channels.iter().map(|channel| channel.channel_name.as_str()).collect();
    match known[..] {
        [] => failure.help("it has none at all yet; the application makes its subscriptions when it starts"),
        _ => failure.help(format!("there are: `{}`", known.join("`, `"))),
    }
}
