//! Topics and subscriptions on a router that the app does not declare: renamed or removed in the app, they collect
//! events that nobody will handle. They are reported and never removed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use bis_admin::Topic;
use bis_analyzer::Options;
use bis_core::TopicName;
use bis_graph::Graph;
use serde::Serialize;

use crate::check::check;
use crate::print::{plural, shown};

/// An orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Orphan {
    pub(crate) topic: String,
    /// `None`: the topic itself.
    pub(crate) subscription: Option<String>,
    /// How many events it keeps.
    pub(crate) events: u64,
}

/// What the app does not declare and nobody consumes. Temporary topics and subscriptions are left out, and so
/// are the dead letters.
pub(crate) fn of(graph: &Graph, topics: &[Topic]) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for topic in topics.iter().filter(|topic| topic.name != TopicName::DEAD.as_str()) {
        let name = &topic.name;
        let lasting: Vec<_> = topic.subscriptions.iter().filter(|one| !one.is_temporary()).collect();
        if graph.topic(name).is_none() && lasting.is_empty() {
            orphans.push(Orphan { topic: name.clone(), subscription: None, events: topic.waiting });
        }
        for subscription in lasting.into_iter().filter(|one| one.consumers == 0) {
            let is_declared =
                graph.subscriptions.iter().any(|one| one.topic == *name && one.name == subscription.name);
            if !is_declared {
                orphans.push(Orphan {
                    topic: name.clone(),
                    subscription: Some(subscription.name.clone()),
                    events: subscription.unfinished(),
                });
            }
        }
    }
    orphans
}

/// The orphans that were reported already.
#[derive(Debug, Default)]
pub(crate) struct Named(Mutex<Vec<Orphan>>);

impl Named {
    /// The orphans of a router that were not reported before. Empty when the app's source cannot be read
    /// completely: it may declare more.
    pub(crate) fn find_more(
        &self,
        folder: &Path,
        options: &Options,
        topics: &[Topic],
    ) -> Result<Vec<Orphan>> {
        let checked = check(folder, options)?;
        if checked.errors() > 0 {
            return Ok(Vec::new());
        }
        let mut orphans = of(&checked.analysis().graph, topics);
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orphans.retain(|orphan| {
            !named.iter().any(|one| (&one.topic, &one.subscription) == (&orphan.topic, &orphan.subscription))
        });
        named.extend(orphans.iter().cloned());
        Ok(orphans)
    }
}

/// The text of a warning about an orphan.
pub(crate) fn text(orphan: &Orphan) -> String {
    let Orphan { topic, subscription, events } = orphan;
    let count = format!("{events} {}", plural(usize::try_from(*events).unwrap_or(0), "event"));
    let topic = shown(topic);
    match subscription {
        Some(name) => {
            let name = shown(name);
            format!(
                "`{topic}` has a subscription `{name}` that the app does not declare; it keeps {count} and collects \
                 more; `bis topic rm {topic} {name}` removes it"
            )
        }
        None => format!(
            "the app does not declare the topic `{topic}`, which keeps {count}; `bis topic rm {topic}` removes it"
        ),
    }
}
