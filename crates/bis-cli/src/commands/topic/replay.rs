//! `bis topic replay`: redelivers events to one subscription that has handled them. Other subscriptions are not affected.

use anyhow::Result;
use bis_admin::ReplayFrom;
use bis_core::{SubscriptionName, TopicName};
use serde_json::json;

use crate::arguments::Where;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN};
use crate::target;

/// What to replay, and to which subscription.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) topic: TopicName,
    pub(crate) subscription: SubscriptionName,
    pub(crate) from: ReplayFrom,
}

/// Replays, and prints how many events will come.
pub(crate) fn run(request: &Request, place: &Where, format: Format) -> Result<()> {
    let Request { topic, subscription, from } = request;
    let replayed = target::with(place, async |admin| Ok(admin.replay(topic, subscription, *from).await?))?;
    match format {
        Format::Json => print::json_line(&json!({
            "topic": topic.as_str(),
            "subscription": subscription.as_str(),
            "from": replayed.from,
            "events": replayed.events,
        }))?,
        Format::Text => {
            let events = if replayed.events == 1 { "event" } else { "events" };
            anstream::eprintln!(
                "{BOLD_GREEN}replayed{BOLD_GREEN:#} {} {events} of `{topic}` to `{subscription}`",
                replayed.events
            );
        }
    }
    Ok(())
}
