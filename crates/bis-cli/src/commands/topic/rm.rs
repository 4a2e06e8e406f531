//! `bis topic rm`: removes a topic, or one subscription of it, with all waiting events.

use anyhow::Result;
use serde_json::json;

use crate::arguments::Where;
use crate::confirm::confirm;
use crate::declared;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, BOLD_YELLOW, plural, shown};
use crate::target;

/// What to remove.
#[derive(Debug)]
pub(crate) struct Remove {
    pub(crate) topic: String,
    pub(crate) subscription: Option<String>,
    pub(crate) yes: bool,
}

/// Removes it once that is confirmed.
pub(crate) fn run(remove: &Remove, place: &Where, format: Format) -> Result<()> {
    let Remove { topic: name, subscription, yes } = remove;
    let of = subscription.as_deref();
    let waiting = target::with(place, async |admin| Ok(admin.removable(name, of).await?))?;
    let what = match subscription {
        None => format!("the topic `{name}`, its subscriptions"),
        Some(subscription) => format!("the subscription `{subscription}` of `{name}`"),
    };
    tell_declared(remove, place)?;
    let events = plural(usize::try_from(waiting).unwrap_or(0), "event");
    let what = format!("{} and {waiting} {events} that wait there", shown(&what));
    confirm(&format!("remove {what}"), *yes)?;
    let is_gone = target::with(place, async |admin| Ok(admin.remove(name, of).await?))?;
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

/// An app recreates what it declares, without the events.
fn tell_declared(remove: &Remove, place: &Where) -> Result<()> {
    let Some(graph) = declared::graph(place)? else { return Ok(()) };
    let is_declared = match &remove.subscription {
        None => graph.topic(&remove.topic).is_some(),
        Some(name) => graph.subscriptions.iter().any(|one| one.topic == remove.topic && one.name == *name),
    };
    if is_declared {
        anstream::eprintln!(
            "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the app here declares it, and makes it again, empty, when it starts"
        );
    }
    Ok(())
}
