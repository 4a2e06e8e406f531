//! Who publishes: every mention of a topic's path, with the service whose module it stands in.

use std::collections::{BTreeSet, HashMap, HashSet};

use bis_graph::{Diagnostic, PublishDelay, codes};

use super::{Assembly, comes_from};
use crate::{
    constant,
    findings::position,
    resolve::{Namespace, Target},
    summary::{How, Invocation, Mention, UseKind, Value},
    tree::{ModuleId, Node},
};

/// The methods that publish.
const PUBLISH: [&str; 3] = ["publish", "publish_in", "publish_all"];

impl<'a> Assembly<'_, '_, 'a> {
    pub(super) fn find_uses(&mut self) {
        let names = self.resource_names();
        let macros = self.macros_with_topics(&names);
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            for mention in &node.module.mentions {
                self.mention(module, mention, &names);
            }
            for invocation in &node.module.invocations {
                self.misplaced_call(module, invocation);
                for mention in macros.get(&*invocation.name).into_iter().flatten() {
                    let home = if mention.path.segments.first().is_some_and(|first| &**first == "crate") {
                        // `$crate` is the crate of the rule; the mention carries its module.
                        self.rule_home(&invocation.name).unwrap_or(module)
                    } else {
                        module
                    };
                    let target = self.resolver.resolve(home, &mention.path, Namespace::Value, &[]);
                    if let Some(Target::Static(home, item)) = target
                        && let Some(topic) = self.topic_at(home, &item.name)
                    {
                        let here = Mention { range: invocation.range, ..mention.clone() };
                        self.used(module, topic, &here);
                    }
                }
            }
        }
    }

    /// A call in a function of a macro that declares something: as a module's items, it would be read.
    fn misplaced_call(&mut self, module: ModuleId, invocation: &Invocation) {
        let modules = &self.resolver.tree.modules;
        let declares = |node: &Node<'_>| {
            node.module.macros.iter().any(|item| item.name == invocation.name && item.declares)
        };
        if modules.iter().any(declares) {
            let name = &invocation.name;
            let message =
                format!("`{name}!` may declare something inside a function, so it is missing from the graph");
            let here = position(&modules[module].file, invocation.range);
            self.found.push(
                Diagnostic::warning(codes::UNREAD_MACRO, here, message)
                    .help("call it among the items of the module"),
            );
        }
    }

    /// The names under which topics may be mentioned: their statics', and what imports call them.
    fn resource_names(&self) -> HashSet<String> {
        let mut names: HashSet<String> = self.topics.iter().map(|topic| topic.static_name.clone()).collect();
        let modules = self.resolver.tree.modules.iter().map(|node| node.module);
        let renames: Vec<(&str, &str)> = modules
            .flat_map(|module| module.uses.iter().chain(module.scopes.iter().flatten()))
            .filter_map(|import| match &import.kind {
                UseKind::Name(alias) if &**alias != import.path.last() => {
                    Some((import.path.last(), &**alias))
                }
                _ => None,
            })
            .collect();
        loop {
            let before = names.len();
            for (name, alias) in &renames {
                if names.contains(*name) {
                    names.insert((*alias).to_owned());
                }
            }
            if names.len() == before {
                return names;
            }
        }
    }

    /// Macros of the project whose rules mention topics, by name.
    fn macros_with_topics(&self, names: &HashSet<String>) -> HashMap<String, Vec<Mention>> {
        let mut macros: HashMap<String, Vec<Mention>> = HashMap::new();
        for node in &self.resolver.tree.modules {
            for item in &node.module.macros {
                let mentions = item.mentions.iter().filter(|mention| names.contains(mention.path.last()));
                let mentions: Vec<Mention> = mentions.cloned().collect();
                if !mentions.is_empty() {
                    macros.entry(item.name.to_string()).or_default().extend(mentions);
                }
            }
        }
        macros
    }

    fn rule_home(&self, name: &str) -> Option<ModuleId> {
        let mut modules = self.resolver.tree.modules.iter();
        modules.position(|node| node.module.macros.iter().any(|item| &*item.name == name))
    }

    fn mention(&mut self, module: ModuleId, mention: &'a Mention, names: &HashSet<String>) {
        let publishes = matches!(&mention.how, How::Method(method) if PUBLISH.contains(&&**method));
        if !names.contains(mention.path.last()) && !publishes {
            return;
        }
        let node = &self.resolver.tree.modules[module];
        let scope = mention.scope.map_or(&[][..], |scope| &node.module.scopes[scope as usize]);
        let target = match scope {
            [] => self.resolver.remembered(module, &mention.path, Namespace::Value),
            scope => self.resolver.resolve(module, &mention.path, Namespace::Value, scope),
        };
        match target {
            Some(Target::Static(home, item)) => {
                if let Some(topic) = self.topic_at(home, &item.name) {
                    self.used(module, topic, mention);
                }
            }
            Some(Target::Generated(name))
                if publishes
                    && !self.is_reported(&name)
                    && self.makes_topic(module, &name, mention.path.last()) =>
            {
                let message = format!(
                    "`{}` {}, so this publish is missing from the graph",
                    mention.path.text(),
                    comes_from(&name)
                );
                let here = position(&node.file, mention.range);
                self.found.push(
                    Diagnostic::warning(codes::UNRESOLVED, here, message)
                        .help("write the topic's static out, so that the graph can be read from the source"),
                );
            }
            None if publishes
                && !self.is_local(module, mention)
                && !self.resolver.may_be_elsewhere(module, &mention.path) =>
            {
                let here = position(&node.file, mention.range);
                let topics: BTreeSet<&str> =
                    self.topics.iter().map(|topic| topic.static_name.as_str()).collect();
                let help = match bis_syntax::closest(mention.path.last(), topics) {
                    Some(near) if near != mention.path.last() => {
                        format!("did you mean `{near}`? check the path and the imports")
                    }
                    _ => "check the path and the imports".to_owned(),
                };
                let message = format!("`{}` leads to no topic", mention.path.text());
                self.found.push(Diagnostic::error(codes::UNRESOLVED, here, message).help(help));
            }
            _ => {}
        }
    }

    /// Whether a path may be something that is no item of a module: an associated constant, or a function's own static.
    fn is_local(&self, module: ModuleId, mention: &Mention) -> bool {
        let node = &self.resolver.tree.modules[module];
        let own = |misplaced: &crate::summary::Misplaced| match &misplaced.kind {
            crate::summary::MisplacedKind::Static(name, _) => &**name == mention.path.last(),
            crate::summary::MisplacedKind::Handler(..) => false,
        };
        node.module.misplaced.iter().any(own)
            || matches!(&mention.path.segments[..], [.., owner, _] if owner.starts_with(char::is_uppercase))
            || node.module.uses.iter().any(|import| {
                matches!(import.kind, UseKind::Glob)
                    && matches!(
                        self.resolver.resolve(module, &import.path, Namespace::Type, &[]),
                        Some(Target::Foreign(_))
                    )
            })
    }

    /// Whether a macro call that holds the name seems to declare a topic.
    fn makes_topic(&self, module: ModuleId, call: &str, name: &str) -> bool {
        let modules =
            std::iter::successors(Some(module), |module| self.resolver.tree.modules[*module].parent);
        let mut calls = modules.flat_map(|module| &self.resolver.tree.modules[module].module.opaque);
        calls.any(|opaque| {
            opaque.path.text() == call && opaque.words.contains(name) && opaque.words.contains("Topic")
        })
    }

    fn used(&mut self, module: ModuleId, topic: usize, mention: &Mention) {
        let node = &self.resolver.tree.modules[module];
        let here = position(&node.file, mention.range);
        let declared = self.topics[topic].topic.position.clone();
        let name = self.topics[topic].topic.name.clone();
        if let How::Returned | How::Stored = mention.how {
            let done = if mention.how == How::Returned { "returned" } else { "stored" };
            self.found.push(
                Diagnostic::error(
                    codes::REFERENCE_ESCAPES,
                    here,
                    format!("a reference to the topic `{name}` is {done}, so nobody can see who uses it"),
                )
                .and(declared, "the topic")
                .help(format!("name `{}` where it is used", mention.path.last())),
            );
            return;
        }
        let Some(service) = self.owner[module] else {
            let message = format!("the topic `{name}` is used outside every service");
            let diagnostic = Diagnostic::error(codes::USE_OUTSIDE_SERVICE, here, message)
                .and(declared, "the topic")
                .help("move the use below a module that calls `bis::service!`");
            self.found.push(self.without_service(module, diagnostic));
            return;
        };
        let service = &self.services[service];
        if !service.listed {
            return;
        }
        // What is done with a topic that is passed on cannot be seen, so it counts as publishing.
        let publishes = match &mention.how {
            How::Method(method) => PUBLISH.contains(&&**method),
            _ => true,
        };
        let service = service.name.clone();
        let delay = self.delay(module, mention, &service);
        let topic = &mut self.topics[topic];
        topic.topic.delays.extend(delay);
        if publishes {
            topic.publishers.insert(service.clone());
        }
        topic.users.insert(service);
    }

    /// The delay of a publish, where it is constant; the broker is the judge of others.
    fn delay(&self, module: ModuleId, mention: &Mention, service: &str) -> Option<PublishDelay> {
        let delay = mention.delay.as_ref()?;
        let Some(Value::Duration(value)) = constant::value(self.resolver, module, &delay.value) else {
            return None;
        };
        Some(PublishDelay {
            service: service.to_owned(),
            delay_ms: bis_graph::millis(value),
            position: position(&self.resolver.tree.modules[module].file, delay.range),
        })
    }
}
