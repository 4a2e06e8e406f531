//! `bis topic replay`: one subscription gets events again that it has handled. Other subscriptions notice nothing.

use anyhow::Result;
use bis_admin::ReplayFrom;
use bis_core::{SubscriptionName, TopicName};
use serde_json::json;

use crate::arguments::Where;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN};
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
