//! The topics: statics whose type is Bis's `Topic`.

use std::collections::BTreeSet;

use bis_graph::{Diagnostic, Retention, Severity, Topic, codes};

use super::Assembly;
use crate::{
    constant,
    findings::position,
    resolve::{Namespace, Target},
    schema,
    summary::{MisplacedKind, PathRef, StaticItem, TopicSummary, Ty, Use, Value},
    tree::ModuleId,
};

/// A topic, with who uses it.
pub(crate) struct TopicRef {
    pub(crate) module: ModuleId,
    pub(crate) static_name: String,
    pub(crate) topic: Topic,
    pub(crate) publishers: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) subscribed: bool,
}

impl<'a> Assembly<'_, '_, 'a> {
    pub(super) fn find_topics(&mut self) {
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            for item in &node.module.statics {
                if let Some((home, event)) = self.topic_event(module, &item.ty, &[]) {
                    self.topic(module, item, home, &event);
                }
            }
            for item in &node.module.consts {
                if self.topic_event(module, &item.ty, &[]).is_some() {
                    self.report_misplaced(module, item.range, &item.name, "a `const` is copied at each use");
                }
            }
            self.find_misplaced(module);
        }
    }

    /// The event type of a static's type, when that is a topic: where it is written, and what it is. Aliases are
    /// followed.
    fn topic_event(&self, module: ModuleId, ty: &Ty, scope: &[Use]) -> Option<(ModuleId, Ty)> {
        let (mut module, mut ty) = (module, ty.clone());
        for _ in 0..8 {
            let Ty::Path(path, arguments) = &ty else { return None };
            match self.resolver.resolve(module, path, Namespace::Type, scope) {
                Some(Target::Bis(name)) if name == "Topic" => {
                    return Some((module, arguments.first().cloned().unwrap_or(Ty::Tuple(Vec::new()))));
                }
                // A name that leads nowhere may come out of a glob of a crate that is not read.
                None if path.last() == "Topic" && !arguments.is_empty() => {
                    return Some((module, arguments[0].clone()));
                }
                Some(Target::Alias(home, alias)) => {
                    let argument = arguments.first().cloned();
                    ty = substitute(&alias.ty, alias.generics.first().map(|name| &**name), argument.as_ref());
                    // An argument is written where the alias is used; a plain path resolves there first.
                    if argument.is_none() {
                        module = home;
                    }
                }
                _ => return None,
            }
        }
        None
    }

    fn topic(&mut self, module: ModuleId, item: &StaticItem, home: ModuleId, event: &Ty) {
        let node = &self.resolver.tree.modules[module];
        let summary = match &item.topic {
            Ok(summary) => summary,
            Err(mistakes) => {
                self.found.extend(mistakes.iter().cloned().map(|diagnostic| Diagnostic {
                    code: codes::NOT_CONSTANT,
                    severity: Severity::Warning,
                    ..diagnostic
                }));
                return;
            }
        };
        self.found.extend(summary.mistakes.iter().cloned());
        let Some(name) = self.topic_name(module, summary) else { return };
        let (event, event_path) = self.event_of(home, event);
        let retention = self.retention(module, summary);
        let is_hosted = self.owner[module].is_none() || self.hosted(module).is_some();
        let condition = if is_hosted { self.condition(module, item.condition.as_ref()) } else { None };
        self.topics.push(TopicRef {
            module,
            static_name: item.name.to_string(),
            publishers: BTreeSet::new(),
            users: BTreeSet::new(),
            subscribed: false,
            topic: Topic {
                name,
                event,
                event_path,
                ordered: summary.ordered,
                retention,
                publishers: Vec::new(),
                users: Vec::new(),
                delays: Vec::new(),
                service: self.hosted(module).map(|service| service.name.clone()),
                condition,
                static_path: format!("{}::{}", node.path, item.name),
                position: position(&node.file, item.range),
            },
        });
    }

    fn topic_name(&mut self, module: ModuleId, summary: &TopicSummary) -> Option<String> {
        let here = position(&self.resolver.tree.modules[module].file, summary.name_range);
        let Some(Value::Text(name)) = constant::value(self.resolver, module, &summary.name) else {
            self.found.push(
                Diagnostic::warning(
                    codes::NOT_CONSTANT,
                    here,
                    "the topic's name is not a constant text, so the topic is missing from the graph",
                )
                .help("write a literal, or a `const` of this workspace"),
            );
            return None;
        };
        if let Some(reason) = bis_core::name_error(&name) {
            let proposal = bis_syntax::kebab_case(&name);
            let help = if bis_core::name_error(&proposal).is_none() {
                format!("{reason}; write `\"{proposal}\"`")
            } else {
                reason.to_owned()
            };
            self.found.push(
                Diagnostic::error(codes::INVALID_NAME, here, format!("`{name}` is not a valid topic name"))
                    .help(help),
            );
        }
        Some(name)
    }

    fn retention(&mut self, module: ModuleId, summary: &TopicSummary) -> Option<Retention> {
        let (value, range) = summary.retention.as_ref()?;
        match constant::value(self.resolver, module, value) {
            Some(Value::Retention(retention)) => Some(retention.into()),
            _ => {
                let here = position(&self.resolver.tree.modules[module].file, *range);
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

    fn find_misplaced(&mut self, module: ModuleId) {
        let node = &self.resolver.tree.modules[module];
        for misplaced in &node.module.misplaced {
            let scope = misplaced.scope.map_or(&[][..], |scope| &node.module.scopes[scope as usize]);
            match &misplaced.kind {
                MisplacedKind::Static(name, ty) if self.topic_event(module, ty, scope).is_some() => {
                    self.report_misplaced(module, misplaced.range, name, "it is inside a function");
                    // It works, but belongs to nothing that the graph could show.
                    self.found.last_mut().expect("it was reported just now").severity = Severity::Warning;
                }
                MisplacedKind::Handler(name, attribute, place)
                    if self.resolver.is_bis(module, attribute, scope) =>
                {
                    let here = position(&node.file, misplaced.range);
                    let message = format!("the handler `{name}` is declared {place}");
                    // In functions, `impl`s and traits the compiler refuses it too.
                    let diagnostic = match *place {
                        "inside a constant" => Diagnostic::warning(codes::NOT_A_MODULE_STATIC, here, message),
                        _ => Diagnostic::error(codes::NOT_A_MODULE_STATIC, here, message),
                    };
                    self.found.push(diagnostic.help("move it into the module"));
                }
                _ => {}
            }
        }
    }

    fn report_misplaced(&mut self, module: ModuleId, range: crate::summary::Range, name: &str, why: &str) {
        let here = position(&self.resolver.tree.modules[module].file, range);
        self.found.push(
            Diagnostic::error(
                codes::NOT_A_MODULE_STATIC,
                here,
                format!("the topic `{name}` is not a static of a module"),
            )
            .labelled(why)
            .help(format!("declare `static {name}: Topic<..>` in the module, outside of functions")),
        );
    }

    /// The topic that a path leads to, as its index.
    pub(super) fn topic_at(&self, home: ModuleId, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.module == home && topic.static_name == name)
    }

    /// Moves the topics into the graph: those of listed services and of shared modules, and those that a listed service
    /// uses.
    pub(super) fn keep_topics(&mut self) {
        for mut topic in std::mem::take(&mut self.topics) {
            let used = topic.subscribed || !topic.publishers.is_empty() || !topic.users.is_empty();
            let shared = self.owner[topic.module].is_none();
            if used || shared || self.hosted(topic.module).is_some() {
                topic.topic.publishers = topic.publishers.into_iter().collect();
                topic.topic.users = topic.users.into_iter().collect();
                topic.topic.delays.sort_by(|a, b| a.position.cmp(&b.position));
                self.graph.topics.push(topic.topic);
            }
        }
        let carried: BTreeSet<&String> = self
            .graph
            .topics
            .iter()
            .map(|topic| &topic.event_path)
            .chain(self.graph.subscriptions.iter().map(|subscription| &subscription.event_path))
            .collect();
        self.events.retain(|path, _| carried.contains(path));
    }
}

fn substitute(ty: &Ty, parameter: Option<&str>, argument: Option<&Ty>) -> Ty {
    match (ty, parameter, argument) {
        (Ty::Path(PathRef { segments, .. }, _), Some(parameter), Some(argument))
            if segments.len() == 1 && &*segments[0] == parameter =>
        {
            argument.clone()
        }
        (Ty::Path(path, arguments), ..) => Ty::Path(
            path.clone(),
            arguments.iter().map(|inner| substitute(inner, parameter, argument)).collect(),
        ),
        _ => ty.clone(),
    }
}
