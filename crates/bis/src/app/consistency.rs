//! Whether what an app declares can live in one app, and fits its configuration. `bis check` finds most of it in the source; a
//! plain `cargo run` finds it here, before anything is opened.

use std::collections::HashMap;

use super::{App, Declared, StartError};
use crate::{
    config::Config,
    registry::{ServiceEntry, TopicInfo},
};

pub(super) fn check(app: &App, config: &Config) -> Result<(), StartError> {
    services(app)?;
    app.hosted(config)?;
    for name in config.internal.services.keys() {
        if app.services.iter().all(|service| service.name != name.as_str()) {
            return Err(StartError::UnknownCallee { name: name.clone(), known: app.known_services() });
        }
    }
    let mut subscriptions = app.subscriptions();
    // In the order of the source, which the registry does not have.
    subscriptions.sort_by_key(|declared| {
        let topic = declared.subscribed.topic.position;
        (topic.file(), topic.line(), topic.column(), declared.entry.position)
    });
    topics(&subscriptions)?;
    names(&subscriptions)
}

fn services(app: &App) -> Result<(), StartError> {
    let mut by_name: HashMap<&str, &ServiceEntry> = HashMap::new();
    for service in &app.services {
        // One that is listed twice is the same one.
        if let Some(first) = by_name.insert(service.name, service)
            && first.module != service.module
        {
            let (first, second) = (first.position, service.position);
            return Err(StartError::SameService { name: service.name, first, second });
        }
    }
    Ok(())
}

fn topics(subscriptions: &[Declared]) -> Result<(), StartError> {
    let mut by_name: HashMap<&str, TopicInfo> = HashMap::new();
    for declared in subscriptions {
        let topic = declared.subscribed.topic;
        if let Some(first) = by_name.insert(topic.name, topic)
            && let Some(difference) = difference(&first, &topic)
        {
            let (first, second) = (first.position, topic.position);
            return Err(StartError::SameTopic { name: topic.name, first, second, difference });
        }
    }
    Ok(())
}

/// In what two topics of one name differ, so that they cannot be the same one.
fn difference(first: &TopicInfo, second: &TopicInfo) -> Option<String> {
    if first.type_name != second.type_name {
        return Some(format!("the first carries `{}`, the second `{}`", first.type_name, second.type_name));
    }
    if first.ordered != second.ordered {
        return Some("only one of them is ordered".to_owned());
    }
    (first.retention != second.retention).then(|| "their retention differs".to_owned())
}

fn names(subscriptions: &[Declared]) -> Result<(), StartError> {
    let mut by_name = HashMap::new();
    for declared in subscriptions {
        let (topic, name) = (declared.subscribed.topic.name, declared.entry.name);
        if let Some(first) = by_name.insert((topic, name), declared.entry.position) {
            let second = declared.entry.position;
            return Err(StartError::SameSubscription { topic, name, first, second });
        }
    }
    Ok(())
}
