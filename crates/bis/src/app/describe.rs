//! What is linked into a program, as JSON: for tools to compare with what they read in the source. Sorted; starts nothing.

use std::process::ExitCode;

use serde::Serialize;

use super::App;
use crate::instance::function_path;

/// What is linked.
#[derive(Serialize)]
pub(crate) struct Description {
    app: &'static str,
    services: Vec<Service>,
    subscriptions: Vec<Subscription>,
    endpoints: Vec<Endpoint>,
    mounts: Vec<Mount>,
}

#[derive(Serialize)]
struct Service {
    name: &'static str,
}

#[derive(Serialize)]
struct Subscription {
    topic: &'static str,
    name: &'static str,
    service: &'static str,
    handler: String,
    event: &'static str,
}

#[derive(Serialize)]
struct Endpoint {
    service: &'static str,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    access: &'static str,
}

#[derive(Serialize)]
struct Mount {
    service: &'static str,
    path: &'static str,
}

impl Description {
    pub(crate) fn of(app: &App) -> Self {
        let mut services: Vec<_> =
            app.services().iter().map(|service| Service { name: service.name }).collect();
        services.sort_by_key(|service| service.name);
        let subscriptions = app.subscriptions().into_iter().map(|declared| Subscription {
            topic: declared.subscribed.topic.name,
            name: declared.entry.name,
            service: declared.service.name,
            handler: function_path(declared.entry.module, declared.entry.function),
            event: declared.subscribed.topic.event,
        });
        let endpoints = app.endpoints().into_iter().map(|(entry, service)| Endpoint {
            service: service.name,
            name: entry.function.trim_start_matches("r#"),
            method: entry.method,
            path: entry.path,
            access: entry.access.as_str(),
        });
        let mounts = app
            .mounts()
            .into_iter()
            .map(|(entry, service)| Mount { service: service.name, path: entry.path });
        Self {
            app: app.name(),
            services,
            subscriptions: subscriptions.collect(),
            endpoints: endpoints.collect(),
            mounts: mounts.collect(),
        }
    }
}

/// Prints the description on stdout.
pub(crate) fn print(app: &App) -> ExitCode {
    let text = serde_json::to_string_pretty(&Description::of(app)).expect("a description is plain text");
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
