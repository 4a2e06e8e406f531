//! `bis graph`: what an app declares and how it is wired.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use bis_graph::{Access, Graph, HookRole};

use crate::arguments;
use crate::check::{check, options};
use crate::exit;
use crate::format::GraphFormat;
use crate::print::{self, BOLD};

/// Prints the graph; [`exit::APP`] when the source has errors, since parts may then be missing.
pub(crate) fn run(arguments: &arguments::Graph) -> Result<ExitCode> {
    let checked = check(&arguments.folder, &options(&arguments.features, None))?;
    let graph = &checked.analysis().graph;
    match arguments.format {
        GraphFormat::Json => print::text(&(bis_graph::json::graph(graph) + "\n"))?,
        GraphFormat::Mermaid => print::text(&bis_graph::mermaid::graph(graph))?,
        GraphFormat::Text => print::text(&overview(graph)?)?,
    }
    // Parts that could not be read are missing: the graph is not printed without saying so.
    anstream::eprint!("{}", checked.text());
    if checked.errors() > 0 {
        return Ok(exit::APP.into());
    }
    Ok(exit::DONE.into())
}

/// The app by service: its endpoints, subscriptions and published topics.
fn overview(graph: &Graph) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for auth in graph.auth.iter().filter(|auth| auth.service.is_none()) {
        writeln!(out, "{BOLD}{}{BOLD:#}  knows {}  {}", auth.function, auth.user, auth.position)?;
        let used: BTreeSet<_> = auth.uses.iter().map(|one| &one.resource).collect();
        for name in used {
            writeln!(out, "  uses       {name}")?;
        }
    }
    for service in &graph.services {
        writeln!(out, "{BOLD}{}{BOLD:#}  {}", service.name, service.position)?;
        for auth in graph.auth.iter().filter(|auth| auth.service.as_ref() == Some(&service.name)) {
            writeln!(out, "  knows      {} as {}", auth.user, auth.function)?;
        }
        for endpoint in graph.endpoints.iter().filter(|endpoint| endpoint.service == service.name) {
            let access = match endpoint.access {
                Access::Public => "",
                Access::Auth => " (auth)",
                Access::Private => " (private)",
            };
            writeln!(out, "  serves     {} {}{access}", endpoint.method, endpoint.path)?;
        }
        for mount in graph.mounts.iter().filter(|mount| mount.service == service.name) {
            writeln!(out, "  serves     {}/*", mount.path.trim_end_matches('/'))?;
        }
        for subscription in
            graph.subscriptions.iter().filter(|subscription| subscription.service == service.name)
        {
            writeln!(out, "  hears      {} as {}", subscription.topic, subscription.name)?;
        }
        for topic in graph.topics.iter().filter(|topic| topic.listeners.contains(&service.name)) {
            writeln!(out, "  listens    {}", topic.name)?;
        }
        for hook in graph.hooks.iter().filter(|hook| hook.service == service.name) {
            let when = match hook.role {
                HookRole::OnStart => "on start",
                HookRole::OnStop => "on stop",
            };
            writeln!(out, "  {when:<10} {}", last(&hook.handler))?;
        }
        for background in graph.background.iter().filter(|background| background.service == service.name) {
            writeln!(out, "  background {}", last(&background.handler))?;
        }
        for topic in graph.topics.iter().filter(|topic| topic.publishers.contains(&service.name)) {
            let unheard = graph.is_unheard(topic);
            writeln!(out, "  publishes  {}{}", topic.name, if unheard { " (nobody hears it)" } else { "" })?;
        }
        for state in graph.state.iter().filter(|state| state.users.contains(&service.name)) {
            writeln!(out, "  uses       {}", state.name)?;
        }
        let calls = graph.calls.iter().filter(|call| call.from == service.name);
        let calls: BTreeSet<_> = calls.map(|call| (&call.to, &call.endpoint)).collect();
        for (to, endpoint) in calls {
            writeln!(out, "  calls      {endpoint} of {to}")?;
        }
    }
    Ok(out)
}

/// The last segment of a path.
fn last(path: &str) -> &str {
    path.rsplit_once("::").map_or(path, |(_, last)| last)
}
