//! Subscriptions, endpoints and mounts, each with its service.

use bis_graph::{Access, Diagnostic, Endpoint, Mount, Position, ResourceKind, Subscription, codes};
use bis_syntax::SubscriptionPolicy;

use super::{
    AppRef, Assembly, comes_from,
    endpoints::{self, EndpointRef},
    lifecycle::{Common, Place},
    text,
};
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::{HandlerItem, HandlerKind, SubscriptionSummary},
    tree::ModuleId,
};

impl<'a> Assembly<'_, '_, 'a> {
    pub(super) fn find_handlers(&mut self, app: AppRef) {
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            for item in &node.module.handlers {
                if !self.resolver.is_bis(module, &item.attribute, &[]) {
                    continue;
                }
                match &item.kind {
                    HandlerKind::Auth(summary) => self.auth(app, module, item, summary),
                    _ => self.handler(module, item),
                }
            }
        }
    }

    /// Whether the module, or one above it, is listed as a service and is not one: its handlers are the same mistake.
    fn is_reported_as_no_service(&self, module: ModuleId) -> bool {
        let tree = self.resolver.tree;
        let above = |module: &ModuleId| tree.modules[*module].whole.or(tree.modules[*module].parent);
        std::iter::successors(Some(module), above).any(|module| self.not_services.contains(&module))
    }

    fn report_outside_services(&mut self, module: ModuleId, item: &HandlerItem, here: Position) {
        if self.is_reported_as_no_service(module) {
            return;
        }
        let message = format!("the handler `{}` is outside every service", item.name);
        let diagnostic = Diagnostic::error(codes::HANDLER_OUTSIDE_SERVICE, here, message)
            .help("move it below a module that calls `bis::service!`");
        self.found.push(self.without_service(module, diagnostic));
    }

    fn handler(&mut self, module: ModuleId, item: &'a HandlerItem) {
        let node = &self.resolver.tree.modules[module];
        let here = position(&node.file, item.range);
        self.found.extend(item.mistakes.iter().cloned());
        if self.owner[module].is_none() {
            self.report_outside_services(module, item, here);
            return;
        }
        let service = self.hosted(module).map(|service| service.name.clone());
        let handler = format!("{}::{}", node.path, item.name);
        let condition = service.as_ref().and_then(|_| self.condition(module, item.condition.as_ref()));
        match (&item.kind, service) {
            (HandlerKind::Subscription(Some(summary)), service) => {
                let description = text(&item.docs.text);
                let found = self.subscription(module, summary, service, handler, condition, here);
                if let Some(found) = found {
                    self.function(module, item.body, Place::Subscription(self.graph.subscriptions.len()));
                    self.graph.subscriptions.push(Subscription { description, ..found });
                }
            }
            (
                HandlerKind::Api { method, path, access, users, options, path_type, signature },
                Some(service),
            ) => {
                if let Some((taken, range)) = path_type {
                    self.check_path_type(module, path, taken, *range);
                }
                let (summary, description) = endpoints::summary(&item.docs);
                self.endpoints.push(EndpointRef { module, signature });
                self.function(module, item.body, Place::Endpoint(self.graph.endpoints.len()));
                self.graph.endpoints.push(Endpoint {
                    service,
                    name: item.name.to_string(),
                    method: method.clone(),
                    path: path.clone(),
                    access: self::access(*access),
                    layers: options.layers.clone(),
                    body_limit_bytes: options.body_limit,
                    timeout_ms: options.timeout.map(bis_graph::millis),
                    users: self.asked_users(module, users),
                    handler,
                    summary,
                    description,
                    deprecated: item.docs.deprecated,
                    parameters: Vec::new(),
                    body: None,
                    responses: Vec::new(),
                    uses: Vec::new(),
                    condition,
                    position: here,
                });
            }
            (HandlerKind::Mount { path }, Some(service)) => {
                self.graph.mounts.push(Mount {
                    service,
                    path: path.clone(),
                    description: text(&item.docs.text),
                    handler,
                    condition,
                    position: here,
                });
            }
            (HandlerKind::Hook(_) | HandlerKind::Background(_), Some(service)) => {
                let description = text(&item.docs.text);
                let common = Common { service, handler, description, condition, position: here };
                self.lifecycle_function(module, item, common);
            }
            _ => {}
        }
    }

    fn subscription(
        &mut self,
        module: ModuleId,
        summary: &SubscriptionSummary,
        service: Option<String>,
        handler: String,
        condition: Option<String>,
        here: Position,
    ) -> Option<Subscription> {
        let topic = self.subscribed_topic(module, summary)?;
        // Without a service `app!` does not list it; its topic is still checked.
        let service = service?;
        let node = &self.resolver.tree.modules[module];
        let ((event, event_path), event_position) = match &summary.event {
            Some((ty, range, _)) => (self.event_of(module, ty), position(&node.file, *range)),
            None => ((String::new(), String::new()), here.clone()),
        };
        self.resources[topic].is_named = true;
        let SubscriptionPolicy { retry, timeout, concurrency, batch } = summary.policy;
        let takes_batches = summary.event.as_ref().is_some_and(|(_, _, shape)| shape.is_batch());
        Some(Subscription {
            topic: self.resources[topic].name.clone(),
            name: summary.name.clone(),
            service,
            handler,
            event,
            event_path,
            description: None,
            retry: retry.into(),
            timeout_ms: bis_graph::millis(timeout),
            concurrency: concurrency as u64,
            batch: takes_batches.then(|| batch.into()),
            uses: Vec::new(),
            condition,
            position: here,
            event_position,
        })
    }

    fn is_topic(&self, resource: usize) -> bool {
        self.resources[resource].kind == ResourceKind::Topic
    }

    /// The topic of a subscription, reported when its path does not lead to one.
    fn subscribed_topic(&mut self, module: ModuleId, summary: &SubscriptionSummary) -> Option<usize> {
        let node = &self.resolver.tree.modules[module];
        let here = position(&node.file, summary.topic_range);
        let text = summary.topic.text();
        let target = self.resolver.resolve(module, &summary.topic, Namespace::Value, &[]);
        let mut is_certain = false;
        let (message, help) = match target {
            Some(Target::Static(home, item)) => match self
                .resource_at(home, &item.name)
                .filter(|one| self.is_topic(*one))
            {
                Some(topic) => return Some(topic),
                // A topic whose declaration was refused is reported there.
                None if matches!(&item.ty, crate::summary::Ty::Path(path, _) if path.last() == "Topic") => {
                    return None;
                }
                None => {
                    is_certain = true;
                    (
                        format!("`{text}` is not a topic"),
                        "name a static of the type `Topic<..>`, declared with `Topic::new(..)`".to_owned(),
                    )
                }
            },
            Some(Target::Unknown) => return None,
            Some(Target::Const(..)) => return None,
            Some(Target::Generated(name)) if self.is_reported(&name) => return None,
            Some(Target::Generated(name)) => (
                format!("`{text}` {}, so this subscription is missing from the graph", comes_from(&name)),
                "write the topic's static out, so that the graph can be read from the source".to_owned(),
            ),
            Some(Target::Foreign(_)) => (
                format!(
                    "the source of `{text}` is not in this workspace, so this subscription is missing from the graph"
                ),
                "depend on its crate by path".to_owned(),
            ),
            _ => {
                is_certain = !self.resolver.may_be_elsewhere(module, &summary.topic);
                let names = self.static_names(ResourceKind::Topic);
                let help = match bis_syntax::closest(summary.topic.last(), names) {
                    Some(near) => format!("did you mean `{near}`? check the path and the imports"),
                    None => "check the path and the imports".to_owned(),
                };
                (format!("`{text}` leads to no topic"), help)
            }
        };
        self.found.push(match is_certain {
            true => Diagnostic::error(codes::UNRESOLVED, here, message).help(help),
            false => Diagnostic::warning(codes::UNRESOLVED, here, message).help(help),
        });
        None
    }
}

fn access(access: bis_syntax::Access) -> Access {
    match access {
        bis_syntax::Access::Public => Access::Public,
        bis_syntax::Access::Auth => Access::Auth,
        bis_syntax::Access::Private => Access::Private,
    }
}
