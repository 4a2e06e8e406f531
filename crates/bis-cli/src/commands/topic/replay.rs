//! `bis topic replay`: one subscription gets events again that it has handled. Other subscriptions notice nothing.

use anyhow::Result;
use bis_core::{SubscriptionName, TopicName};
use bis_nsq::ReplayFrom;
use serde_json::json;

use crate::arguments::Where;
use crate::commands::topic::{unknown_subscription, unknown_topic};
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN};
use crate::router_client::{Replay, RouterClient};
use crate::target;

/// What to replay to whom.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) topic: TopicName,
    pub(crate) subscription: SubscriptionName,
    pub(crate) from: ReplayFrom,
}

/// Replays, and says how much comes.
pub(crate) fn run(request: &Request, place: &Where, format: Format) -> Result<()> {
    let Request { topic, subscription, from } = request;
    let router = target::http(place)?;
    let replayed = match router.replay(topic.as_str(), subscription.as_str(), *from)? {
        Replay::Done(replayed) => replayed,
        Replay::NotFound => return Err(not_found(&router, request)?.into()),
    };
    match format {
        Format::Json => print::json_line(&json!({
            "topic": topic.as_str(),
            "subscription": subscription.as_str(),
            "from": replayed.from,
            "events": replayed.messages,
        }))?,
        Format::Text => {
            let events = if replayed.messages == 1 { "event" } else { "events" };
            anstream::eprintln!(
                "{BOLD_GREEN}replayed{BOLD_GREEN:#} {} {events} of `{topic}` to `{subscription}`",
                replayed.messages
            );
        }
    }
    Ok(())
}

/// The failure that a wrong name leads to, with the names that would have worked.
fn not_found(router: &RouterClient, request: &Request) -> Result<Failure> {
    let topics = router.stats()?.topics;
    let Some(topic) = topics.iter().find(|topic| topic.topic_name == request.topic.as_str()) else {
        let known: Vec<&str> = topics.iter().map(|topic| topic.topic_name.as_str()).collect();
        return Ok(unknown_topic(request.topic.as_str(), &known));
    };
    Ok(unknown_subscription(topic, request.subscription.as_str()))
}
