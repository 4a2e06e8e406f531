//! `bis topic rm`: removes a topic, or one subscription of it, with what waits there.

use anyhow::Result;
use bis_core::TopicName;
use serde_json::json;

use crate::arguments::Where;
use crate::commands::topic::{unknown_subscription, unknown_topic};
use crate::confirm::confirm;
use crate::declared;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, BOLD_YELLOW, plural, shown};
use crate::router_client::{ChannelStats, TopicStats};
use crate::target;

/// What to remove.
#[derive(Debug)]
pub(crate) struct Remove {
    pub(crate) topic: String,
    pub(crate) subscription: Option<String>,
    pub(crate) yes: bool,
}

/// Removes it, once that is confirmed.
pub(crate) fn run(remove: &Remove, place: &Where, format: Format) -> Result<()> {
    let Remove { topic: name, subscription, yes } = remove;
    if name == TopicName::DEAD.as_str() {
        return Err(Failure::new(exit::USAGE, format!("`{name}` keeps the dead letters"))
            .help("remove letters with `bis dead rm`")
            .into());
    }
    let router = target::http(place)?;
    let topics = router.stats()?.topics;
    let Some(topic) = topics.iter().find(|topic| topic.topic_name == *name) else {
        let known: Vec<&str> = topics.iter().map(|topic| topic.topic_name.as_str()).collect();
        return Err(unknown_topic(name, &known).into());
    };
    let (what, waiting) = match subscription {
        None => (format!("the topic `{name}`, its subscriptions"), waiting(topic)),
        Some(subscription) => {
            let channel = topic.channels.iter().find(|channel| channel.channel_name == *subscription);
            let Some(channel) = channel else { return Err(unknown_subscription(topic, subscription).into()) };
            (format!("the subscription `{subscription}` of `{name}`"), channel.unfinished())
        }
    };
    tell_declared(remove, place)?;
    let events = plural(usize::try_from(waiting).unwrap_or(0), "event");
    let what = format!("{} and {waiting} {events} that wait there", shown(&what));
    confirm(&format!("remove {what}"), *yes)?;
    let is_gone = router.delete(name, subscription.as_deref())?;
    match format {
        Format::Json => print::json_line(&json!({
            "topic": name,
            "subscription": subscription,
            "removed": is_gone,
            "events": waiting,
        }))?,
        Format::Text => anstream::eprintln!("{BOLD_GREEN}removed{BOLD_GREEN:#} {what}"),
    }
    Ok(())
}

/// What is lost with a topic: the backlog of the subscription that has most, or what none has seen.
fn waiting(topic: &TopicStats) -> i64 {
    topic.channels.iter().map(ChannelStats::unfinished).max().unwrap_or(0) + topic.depth
}

/// An application makes again what it declares, without the events.
fn tell_declared(remove: &Remove, place: &Where) -> Result<()> {
    let Some(graph) = declared::graph(place)? else { return Ok(()) };
    let is_declared = match &remove.subscription {
        None => graph.topic(&remove.topic).is_some(),
        Some(name) => graph.subscriptions.iter().any(|one| one.topic == remove.topic && one.name == *name),
    };
    if is_declared {
        anstream::eprintln!(
            "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the application here declares it, and makes it again, empty, when it starts"
        );
    }
    Ok(())
}
