//! `bis topic ls`: topics with their subscriptions, and what waits there.

use anyhow::Result;
use bis_analyzer::Options;
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::check::check;
use crate::format::Format;
use crate::orphans::{self, Orphan};
use crate::print::{self, BOLD_YELLOW};
use crate::project::Project;
use crate::router_client::{ChannelStats, TopicStats};
use crate::table::Table;
use crate::target;

/// Prints all topics of a router.
pub(crate) fn run(place: &Where, format: Format) -> Result<()> {
    let mut topics = target::http(place)?.stats()?.topics;
    topics.sort_by(|one, other| one.topic_name.cmp(&other.topic_name));
    let orphans = orphans(place, &topics)?;
    match format {
        Format::Json => print::json_line(&json!({
            "topics": topics.iter().map(topic).collect::<Vec<_>>(),
            "orphans": orphans,
        }))?,
        Format::Text if topics.is_empty() => {
            anstream::eprintln!("there is no topic yet; the application makes its topics when it starts");
        }
        Format::Text => {
            print::text(&table(&topics).to_string())?;
            for orphan in &orphans {
                anstream::eprintln!("{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {}", orphans::text(orphan));
            }
        }
    }
    Ok(())
}

/// What the application does not declare. A router that was named may belong to another one; and what cannot be read whole
/// may declare more than is seen.
fn orphans(place: &Where, topics: &[TopicStats]) -> Result<Vec<Orphan>> {
    if place.router_http.is_some() {
        return Ok(Vec::new());
    }
    let checked = check(Project::find(&place.app)?.folder(), &Options::default())?;
    if checked.errors() > 0 {
        return Ok(Vec::new());
    }
    Ok(orphans::of(&checked.analysis().graph, topics))
}

fn topic(topic: &TopicStats) -> Value {
    json!({
        "name": topic.topic_name,
        "depth": topic.depth,
        "messages": topic.message_count,
        "paused": topic.paused,
        "channels": topic.channels.iter().map(channel).collect::<Vec<_>>(),
    })
}

fn channel(channel: &ChannelStats) -> Value {
    json!({
        "name": channel.channel_name,
        "depth": channel.depth,
        "in_flight": channel.in_flight_count,
        "deferred": channel.deferred_count,
        "requeued": channel.requeue_count,
        "consumers": channel.client_count,
        "paused": channel.paused,
    })
}

fn table(topics: &[TopicStats]) -> Table {
    let mut table =
        Table::new(["TOPIC", "SUBSCRIPTION", "WAITING", "IN FLIGHT", "DEFERRED", "REQUEUED", "CONSUMERS"]);
    for topic in topics {
        // What no subscription was shown yet: there is none, or the topic is paused.
        if topic.channels.is_empty() || topic.depth > 0 || topic.paused {
            table.row([
                topic.topic_name.clone(),
                marked("-", topic.paused),
                topic.depth.to_string(),
                "0".into(),
                "0".into(),
                "0".into(),
                "0".into(),
            ]);
        }
        for channel in &topic.channels {
            table.row([
                topic.topic_name.clone(),
                marked(&channel.channel_name, channel.paused),
                channel.depth.to_string(),
                channel.in_flight_count.to_string(),
                channel.deferred_count.to_string(),
                channel.requeue_count.to_string(),
                channel.client_count.to_string(),
            ]);
        }
    }
    table
}

fn marked(name: &str, is_paused: bool) -> String {
    if is_paused { format!("{name} (paused)") } else { name.to_owned() }
}
