//! Keeps sensitive fields off the terminal. The app's source says which fields are sensitive
//! (`#[event(sensitive)]`), so the graph of the app in the folder decides.
//!
//! Events about which nothing is known are hidden entirely. Only the output changes, never what is stored or replayed.

use anyhow::Result;
use bis_analyzer::Options;
use bis_core::Envelope;
use bis_core::redaction::Sensitive;
use bis_graph::{EventType, Graph};

use crate::arguments::Where;
use crate::check::check;
use crate::print::BOLD_YELLOW;
use crate::project::Project;

/// What to hide of events before they are printed.
#[derive(Debug)]
pub(crate) struct Redaction {
    rule: Rule,
    /// Whether the user was told why an event is hidden entirely.
    told: bool,
}

#[derive(Debug)]
enum Rule {
    /// Hide nothing: the user asked for everything.
    Reveal,
    /// What the app in the folder declares.
    App(Box<Graph>),
    /// There is no app in the folder.
    Unknown,
}

impl Redaction {
    /// Reads the app's source, unless everything is to be revealed.
    pub(crate) fn new(place: &Where, reveal: bool) -> Result<Self> {
        let rule = if reveal {
            Rule::Reveal
        } else if let Ok(project) = Project::find(&place.app) {
            let graph = check(project.folder(), &Options::default())?.analysis().graph.clone();
            if graph.topics.is_empty() { Rule::Unknown } else { Rule::App(Box::new(graph)) }
        } else {
            Rule::Unknown
        };
        Ok(Self { rule, told: false })
    }

    /// The part of the event that may be shown. The first one that is hidden entirely is explained on stderr.
    pub(crate) fn apply(&mut self, topic: &str, event: Envelope) -> Envelope {
        let (shown, reason) = self.rule.shown(topic, event);
        if let Some(reason) = reason
            && !std::mem::replace(&mut self.told, true)
        {
            anstream::eprintln!(
                "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {reason}, so data and keys are hidden; `--reveal` shows them"
            );
        }
        shown
    }
}

impl Rule {
    fn shown(&self, topic: &str, mut event: Envelope) -> (Envelope, Option<String>) {
        let graph = match self {
            Self::Reveal => return (event, None),
            Self::App(graph) => graph,
            Self::Unknown => {
                Sensitive::whole().hide_event(&mut event, []);
                let reason = "which fields are sensitive is known only in the app's folder (`--app DIR`)";
                return (event, Some(reason.to_owned()));
            }
        };
        let types = types_of(graph, topic, &event.event_type);
        if types.is_empty() {
            Sensitive::whole().hide_event(&mut event, []);
            let reason = format!("the app here does not declare the events of `{topic}`");
            return (event, Some(reason));
        }
        let mut sensitive = Sensitive::default();
        types.iter().flat_map(|one| &one.sensitive).for_each(|name| sensitive.add(name));
        sensitive.hide_event(&mut event, types.iter().filter_map(|one| one.key.as_deref()));
        (event, None)
    }
}

/// The types that the event may have: those that its topic carries, and those with the name in its envelope.
fn types_of<'a>(graph: &'a Graph, topic: &str, name: &str) -> Vec<&'a EventType> {
    let carried = graph.topic(topic).map_or("", |topic| &topic.event_path);
    graph.events.iter().filter(|event| event.path == carried || event.name == name).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bis_core::{EventId, redaction::REDACTED};

    use super::*;

    const TYPE: &str = r#"{"name":"OrderPlaced","path":"shop::OrderPlaced","key":"email","attributes":[],
        "sensitive":["email"],"schema":true,"position":{"file":"src/lib.rs","line":1,"column":1,"end_line":1,"end_column":2}}"#;

    fn rule(sensitive: &str) -> Rule {
        let mut graph = Graph::empty("shop");
        graph.events.push(serde_json::from_str(&TYPE.replace("[\"email\"]", sensitive)).unwrap());
        Rule::App(Box::new(graph))
    }

    /// What is shown of the data of an `OrderPlaced`.
    #[track_caller]
    fn check(rule: &Rule, event_type: &str, data: &str, expected: &str) -> Option<String> {
        let data = data.as_bytes().to_vec().into();
        let mut event = Envelope::new(EventId::generate(), "/t", event_type, SystemTime::now(), data);
        event.key = Some("a@b.example".to_owned());
        let (shown, reason) = rule.shown("orders", event);
        assert_eq!(std::str::from_utf8(&shown.data).unwrap(), expected);
        assert_eq!(shown.key.as_deref() == Some("a@b.example"), !expected.contains(REDACTED));
        reason
    }

    #[test]
    fn sensitive_fields_are_hidden_wherever_they_stand() {
        let rule = rule(r#"["email"]"#);
        let check =
            |data: &str, expected: &str| assert!(self::check(&rule, "OrderPlaced", data, expected).is_none());
        check(r#"{"z":1.10, "email":{"x":"y"}}"#, r#"{"z":1.10,"email":"[redacted]"}"#);
        check("not json a@b.example", "\"[redacted]\"");
    }

    #[test]
    fn fields_without_names_hide_the_whole() {
        let rule = rule(r#"["0", "email"]"#);
        check(&rule, "OrderPlaced", r#"{"Placed":["a@b.example"]}"#, "\"[redacted]\"");
    }

    #[test]
    fn what_nothing_is_known_about_is_hidden_and_explained() {
        let reason = check(&rule("[]"), "Other", "{}", "\"[redacted]\"").unwrap();
        assert!(reason.contains("does not declare the events of `orders`"), "{reason}");
        assert!(
            check(&Rule::Unknown, "OrderPlaced", "{}", "\"[redacted]\"").unwrap().contains("`--app DIR`")
        );
    }

    #[test]
    fn the_rest_is_shown_as_it_is() {
        assert!(check(&rule("[]"), "OrderPlaced", "{ \"a\": 1 }", "{ \"a\": 1 }").is_none());
        assert!(check(&Rule::Reveal, "OrderPlaced", "bytes", "bytes").is_none());
    }
}
