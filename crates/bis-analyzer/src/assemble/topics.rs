//! What topics have beside what every resource has: the type of their events, options, publishers and delays.

use std::collections::BTreeSet;

use bis_graph::{Diagnostic, PublishDelay, ResourceKind, Retention, Topic, Use, codes};
use bis_syntax::{LISTEN, declaration};

use super::{
    Assembly,
    resources::{Head, ResourceType},
};
use crate::{
    constant,
    findings::position,
    resolve::{Namespace, Target},
    schema,
    summary::{Chain, Mention, PathRef, Ty, Value},
    tree::ModuleId,
};

impl<'a> Assembly<'_, '_, 'a> {
    pub(super) fn topic(&mut self, module: ModuleId, chain: &Chain, ty: &ResourceType, head: Head) -> Topic {
        let (event, event_path) = match ty.arguments.first() {
            Some(event) => self.event_of(ty.home, event),
            None => (String::new(), String::new()),
        };
        let Head { name, description, service, condition, static_path, position } = head;
        Topic {
            name,
            event,
            event_path,
            description,
            ordered: chain.call("ordered").is_some(),
            retention: self.retention(module, chain),
            publishers: Vec::new(),
            listeners: Vec::new(),
            users: Vec::new(),
            delays: Vec::new(),
            service,
            condition,
            static_path,
            position,
        }
    }

    fn retention(&mut self, module: ModuleId, chain: &Chain) -> Option<Retention> {
        let argument = chain.call("retention")?.arguments.first()?;
        match constant::value(self.resolver, module, &argument.value) {
            Some(Value::Retention(retention)) => Some(retention.into()),
            _ => {
                let here = position(&self.resolver.tree.modules[module].file, argument.range);
                self.found.push(
                    Diagnostic::warning(codes::NOT_CONSTANT, here, "the retention is not constant, so the graph shows the default")
                        .help("write it with literals, as in `Retention { max_age: Duration::from_secs(86_400), ..Retention::DEFAULT }`"),
                );
                None
            }
        }
    }

    /// The name and path of an event's type. The path is empty when it does not resolve, which leaves it to rustc.
    pub(super) fn event_of(&mut self, module: ModuleId, ty: &Ty) -> (String, String) {
        match self.event_type(module, ty) {
            Some((home, item)) => (item.name.to_string(), self.event(home, item)),
            None => match ty {
                Ty::Path(path, _) => (path.last().to_owned(), self.foreign_path(module, path)),
                _ => (String::new(), String::new()),
            },
        }
    }

    /// The path of a type whose source is not read; empty when it leads nowhere.
    fn foreign_path(&self, module: ModuleId, path: &PathRef) -> String {
        match self.resolver.resolve(module, path, Namespace::Type, &[]) {
            Some(Target::Foreign(segments)) => segments.join("::"),
            None if path.segments.len() == 1 && schema::is_standard(path.last()) => {
                format!("std::{}", path.last())
            }
            _ => String::new(),
        }
    }

    fn event_type(&self, module: ModuleId, ty: &Ty) -> Option<(ModuleId, &'a crate::summary::TypeItem)> {
        let (mut module, mut ty) = (module, ty);
        for _ in 0..8 {
            let Ty::Path(path, _) = ty else { return None };
            match self.resolver.resolve(module, path, Namespace::Type, &[])? {
                Target::Type(home, item) => return Some((home, item)),
                Target::Alias(home, alias) => (module, ty) = (home, &alias.ty),
                _ => return None,
            }
        }
        None
    }

    /// Notes what a topic keeps of a use beside its method: the delay of a publish, where it is constant. The broker
    /// judges others.
    pub(super) fn note_delay(&mut self, resource: usize, module: ModuleId, mention: &Mention, service: &str) {
        let Some(delay) = &mention.delay else { return };
        let Some(Value::Duration(value)) = constant::value(self.resolver, module, &delay.value) else {
            return;
        };
        let position = position(&self.resolver.tree.modules[module].file, delay.range);
        let service = service.to_owned();
        let delay = PublishDelay { service, delay_ms: bis_graph::millis(value), position };
        if let Some(topic) = self.resources[resource].entry.topic() {
            topic.delays.push(delay);
        }
    }

    pub(super) fn keep_topic(&mut self, mut topic: Topic, uses: &[Use]) {
        let services = |uses: &mut dyn Iterator<Item = &Use>| -> Vec<String> {
            uses.map(|one| one.service.clone()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let actions = declaration(ResourceKind::Topic).actions;
        // What is done with a topic that is passed on cannot be seen, so it counts as publishing.
        let listens = |one: &&Use| one.method.as_deref() == Some(LISTEN);
        let publishes = |one: &&Use| {
            !listens(one) && one.method.as_ref().is_none_or(|method| actions.contains(&method.as_str()))
        };
        topic.publishers = services(&mut uses.iter().filter(publishes));
        topic.listeners = services(&mut uses.iter().filter(listens));
        topic.users = services(&mut uses.iter());
        topic.delays.sort_by(|a, b| a.position.cmp(&b.position));
        self.graph.topics.push(topic);
    }

    /// Drops the types that no topic of the graph carries and no subscription takes.
    pub(super) fn keep_carried_events(&mut self) {
        let topics = self.graph.topics.iter().map(|topic| &topic.event_path);
        let taken = self.graph.subscriptions.iter().map(|subscription| &subscription.event_path);
        let carried: BTreeSet<&String> = topics.chain(taken).collect();
        self.events.retain(|path, _| carried.contains(path));
    }
}
