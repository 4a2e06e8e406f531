//! `bis topic ls`: topics with their subscriptions and counts of waiting events.

use anyhow::Result;
use bis_admin::Topic;
use bis_analyzer::Options;
use serde_json::json;

use crate::arguments::Where;
use crate::check::check;
use crate::format::Format;
use crate::orphans::{self, Orphan};
use crate::print::{self, BOLD_YELLOW};
use crate::project::Project;
use crate::table::Table;
use crate::target;

/// Prints all topics of a router.
pub(crate) fn run(place: &Where, format: Format) -> Result<()> {
    let topics = target::with(place, async |admin| Ok(admin.topics().await?))?;
    let orphans = orphans(place, &topics)?;
    match format {
        Format::Json => print::json_line(&json!({
            "topics": topics,
            "orphans": orphans,
        }))?,
        Format::Text if topics.is_empty() => {
            anstream::eprintln!("there is no topic yet; the app makes its topics when it starts");
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

/// What the app does not declare. A router that was named may belong to another app, and a source that cannot be
/// read completely may declare more.
fn orphans(place: &Where, topics: &[Topic]) -> Result<Vec<Orphan>> {
    if place.router_http.is_some() {
        return Ok(Vec::new());
    }
    let checked = check(Project::find(&place.app)?.folder(), &Options::default())?;
    if checked.errors() > 0 {
        return Ok(Vec::new());
    }
    Ok(orphans::of(&checked.analysis().graph, topics))
}

fn table(topics: &[Topic]) -> Table {
    let mut table =
        Table::new(["TOPIC", "SUBSCRIPTION", "WAITING", "IN FLIGHT", "DEFERRED", "REQUEUED", "CONSUMERS"]);
    for topic in topics {
        // Events that reached no subscription yet: the topic has none, or is paused.
        if topic.subscriptions.is_empty() || topic.waiting > 0 || topic.paused {
            table.row([
                topic.name.clone(),
                marked("-", topic.paused),
                topic.waiting.to_string(),
                "0".into(),
                "0".into(),
                "0".into(),
                "0".into(),
            ]);
        }
        for one in &topic.subscriptions {
            table.row([
                topic.name.clone(),
                marked(&one.name, one.paused),
                one.waiting.to_string(),
                one.in_flight.to_string(),
                one.deferred.to_string(),
                one.requeued.to_string(),
                one.consumers.to_string(),
            ]);
        }
    }
    table
}

fn marked(name: &str, is_paused: bool) -> String {
    if is_paused { format!("{name} (paused)") } else { name.to_owned() }
}
