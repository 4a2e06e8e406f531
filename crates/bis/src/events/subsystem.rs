//! What events contribute about an app's declarations: whether its topics and subscriptions fit together, and what is linked.

use std::{collections::HashMap, panic::Location};

use bis_core::{InvalidName, codes, prometheus::Page};

use super::{
    bus::Bus,
    entry::{self, Declared},
    event::NotScalar,
    topic::TopicInfo,
};
use crate::{
    error::Result,
    instance::{Caller, Declarations, Instance, Position, Section, Services, Subsystem, function_path},
};

/// Topics and subscriptions.
pub(crate) struct Events;

/// Why topics and subscriptions cannot be those of one app.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeclarationError {
    /// Two topics have one name.
    #[error(
        "the topic `{name}` is declared twice, at {first} and at {second}: {difference}; give one of them another name [{}]",
        codes::SAME_TOPIC
    )]
    SameTopic {
        /// The name.
        name: &'static str,
        /// The one.
        first: &'static Location<'static>,
        /// The other.
        second: &'static Location<'static>,
        /// How they differ.
        difference: String,
    },
    /// Two subscriptions of a topic have one name.
    #[error(
        "the topic `{topic}` has two subscriptions named `{name}`, at {first} and at {second}; give one of them another name, as each event would reach only one of the two [{}]",
        codes::SAME_SUBSCRIPTION
    )]
    SameSubscription {
        /// The topic.
        topic: &'static str,
        /// The name.
        name: &'static str,
        /// The one.
        first: Position,
        /// The other.
        second: Position,
    },
    /// The name of a topic or a subscription is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// An event's key or attribute cannot be one.
    #[error("topic `{topic}`: {source} [{}]", codes::NOT_SCALAR)]
    NotScalar {
        /// The topic.
        topic: &'static str,
        /// The field.
        source: NotScalar,
    },
}

impl Subsystem for Events {
    fn callers(&self, services: &Services) -> Vec<Caller> {
        let caller = |declared: Declared| {
            let Declared { entry, service, .. } = declared;
            Caller {
                module: entry.module,
                function: entry.function,
                service: service.name,
                calls: entry.calls,
            }
        };
        entry::subscriptions(services).into_iter().map(caller).collect()
    }

    fn check(&self, declared: &Declarations<'_>) -> Result<()> {
        let mut subscriptions = entry::subscriptions(declared.services);
        // In the order of the source, which the registry does not have.
        subscriptions.sort_by_key(|declared| {
            let topic = declared.subscribed.topic.position;
            (topic.file(), topic.line(), topic.column(), declared.entry.position)
        });
        topics(&subscriptions)?;
        names(&subscriptions)?;
        Ok(scalars(&subscriptions)?)
    }

    fn describe(&self, services: &Services) -> Vec<Section> {
        let subscriptions = entry::subscriptions(services).into_iter().map(|declared| {
            let handler = function_path(declared.entry.module, declared.entry.function);
            vec![
                ("topic", declared.subscribed.topic.name.into()),
                ("name", declared.entry.name.into()),
                ("service", declared.service.name.into()),
                ("handler", handler.into()),
                ("event", declared.subscribed.topic.event.into()),
            ]
        });
        vec![Section { name: "subscriptions", items: subscriptions.collect() }]
    }

    fn measure(&self, instance: &Instance, page: &mut Page) {
        Bus::of(instance).metrics().write(page);
    }
}

fn topics(subscriptions: &[Declared]) -> Result<(), DeclarationError> {
    let mut by_name: HashMap<&str, TopicInfo> = HashMap::new();
    for declared in subscriptions {
        let topic = declared.subscribed.topic;
        if let Some(first) = by_name.insert(topic.name, topic)
            && let Some(difference) = difference(&first, &topic)
        {
            let (first, second) = (first.position, topic.position);
            return Err(DeclarationError::SameTopic { name: topic.name, first, second, difference });
        }
    }
    Ok(())
}

/// How two topics of one name differ, so that they cannot be the same one.
fn difference(first: &TopicInfo, second: &TopicInfo) -> Option<String> {
    if first.type_name != second.type_name {
        return Some(format!("the first carries `{}`, the second `{}`", first.type_name, second.type_name));
    }
    if first.ordered != second.ordered {
        return Some("only one of them is ordered".to_owned());
    }
    (first.retention != second.retention).then(|| "their retention differs".to_owned())
}

fn names(subscriptions: &[Declared]) -> Result<(), DeclarationError> {
    let mut by_name = HashMap::new();
    for declared in subscriptions {
        let (topic, name) = (declared.subscribed.topic.name, declared.entry.name);
        if let Some(first) = by_name.insert((topic, name), declared.entry.position) {
            let second = declared.entry.position;
            return Err(DeclarationError::SameSubscription { topic, name, first, second });
        }
    }
    Ok(())
}

fn scalars(subscriptions: &[Declared]) -> Result<(), DeclarationError> {
    for declared in subscriptions {
        let topic = &declared.subscribed.topic;
        (topic.check_scalars)()
            .map_err(|source| DeclarationError::NotScalar { topic: topic.name, source })?;
    }
    Ok(())
}
