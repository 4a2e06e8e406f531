//! What the app in the folder declares about a topic's events, so that data is checked before it is published by hand.

use anyhow::Result;
use bis_analyzer::Options;
use bis_graph::{EventType, Graph};
use serde_json::Value;

use crate::arguments::Where;
use crate::check::check;
use crate::exit;
use crate::failure::Failure;
use crate::print::{BOLD_YELLOW, shown};
use crate::project::Project;
use crate::schema;

/// Reads what the app in the folder declares; `None` when there is no app.
pub(crate) fn graph(place: &Where) -> Result<Option<Graph>> {
    let Ok(project) = Project::find(&place.app) else { return Ok(None) };
    Ok(Some(check(project.folder(), &Options::default())?.analysis().graph.clone()))
}

/// Refuses data that the topic's handlers cannot decode. When the app here does not declare the topic, warns that
/// the data was only checked for being JSON.
pub(crate) fn refuse_mismatch(graph: Option<&Graph>, topic: &str, data: &[u8]) -> Result<()> {
    let wrong = |reason: String| {
        Failure::new(exit::USAGE, format!("the data is not what `{topic}` carries: {reason}"))
            .help("correct it, or send it as it is with `--force`")
    };
    let value: Value =
        serde_json::from_slice(data).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
    match graph.and_then(|graph| event_of(graph, topic)) {
        Some(event) => match schema::check(&event.schema, &value) {
            Ok(()) => Ok(()),
            Err(mismatch) => Err(wrong(mismatch.to_string()).into()),
        },
        None => {
            anstream::eprintln!(
                "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the app here does not declare `{}`, so that the data is checked \
                 for being JSON alone; name its folder with `--app DIR`",
                shown(topic)
            );
            Ok(())
        }
    }
}

/// The type of the topic's events.
fn event_of<'a>(graph: &'a Graph, topic: &str) -> Option<&'a EventType> {
    let path = &graph.topic(topic)?.event_path;
    graph.events.iter().find(|event| event.path == *path)
}
