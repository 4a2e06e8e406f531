//! One-string fixtures: `//- path` headers begin files; what an app needs and a fixture does not give is filled in.

#![expect(dead_code, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be written fails its test")]

use std::{fmt::Write, fs};

use bis_analyzer::{Analysis, Options};
use bis_core::BrokerKind;
use bis_graph::{Colour, FunctionCall, FunctionUse, Graph, ParameterPlace, Restart, Severity, render};
use tempfile::TempDir;

/// A service with an event, a topic and a subscription, as most fixtures need them.
pub const ORDERS: &str = r#"
//- src/orders.rs
use bis::prelude::*;
bis::service!("orders");
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
pub static PLACED: Topic<Placed> = Topic::new("placed");
#[subscription(PLACED)]
async fn ship(event: Placed) -> Result<()> { PLACED.publish(&event).await }
"#;

/// The folder of a fixture.
pub fn folder(fixture: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    for line in fixture.lines() {
        match line.strip_prefix("//- ") {
            Some(path) => files.push((path.trim().to_owned(), String::new())),
            None if files.is_empty() => assert!(line.trim().is_empty(), "a fixture begins with `//- path`"),
            None => writeln!(files.last_mut().unwrap().1, "{line}").unwrap(),
        }
    }
    let has = |files: &[(String, String)], path: &str| files.iter().any(|(file, _)| file == path);
    if !has(&files, "Cargo.toml") {
        let manifest = "[package]\nname = \"shop\"\nedition = \"2024\"\n\n[dependencies]\naxum = \"0.8\"\nbis = \"0.1\"\nmoney = \"1\"\nserde = \"1\"\nuuid = \"1\"\nchrono = \"0.4\"\njiff = \"0.2\"\nrust_decimal = \"1\"\nserde_json = \"1\"\n";
        files.push(("Cargo.toml".to_owned(), manifest.to_owned()));
    }
    if !has(&files, "src/lib.rs")
        && !has(&files, "src/main.rs")
        && files.iter().any(|(file, _)| file.starts_with("src/") && !file.starts_with("src/bin/"))
    {
        let modules: Vec<String> = files
            .iter()
            .filter_map(|(file, _)| file.strip_prefix("src/")?.strip_suffix(".rs").map(str::to_owned))
            .filter(|module| !module.contains('/'))
            .collect();
        let mut lib: String = modules.iter().map(|module| format!("pub mod {module};\n")).collect();
        writeln!(lib, "bis::app!(services: [{}]);", modules.join(", ")).unwrap();
        files.push(("src/lib.rs".to_owned(), lib));
    }
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // `\xFF` stands for a byte that UTF-8 does not have.
        let bytes: Vec<u8> = match text.split_once("\\xFF") {
            Some((before, after)) => [before.as_bytes(), &[0xFF], after.as_bytes()].concat(),
            None => text.into_bytes(),
        };
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Analyses a fixture.
pub fn analyze(fixture: &str) -> Analysis {
    analyze_for(fixture, None)
}

/// Analyses a fixture that is to run on a broker.
pub fn analyze_for(fixture: &str, broker: Option<BrokerKind>) -> Analysis {
    bis_analyzer::analyze(folder(fixture).path(), &Options { broker, ..Options::default() })
}

/// All diagnostics of a fixture as text.
pub fn diagnostics(fixture: &str) -> String {
    text(&analyze(fixture))
}

/// All diagnostics of an analysis as text.
pub fn text(analysis: &Analysis) -> String {
    analysis
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, &analysis.sources, Colour::Never))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The codes of an analysis's errors and warnings.
pub fn codes(analysis: &Analysis) -> Vec<&'static str> {
    analysis.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// The graph of a fixture without errors, one edge per line.
pub fn edges(fixture: &str) -> String {
    let analysis = analyze(fixture);
    let errors: Vec<_> =
        analysis.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let graph = analysis.graph;
    let mut lines = Vec::new();
    for service in &graph.services {
        lines.push(format!("service {} = {}", service.name, service.module));
    }
    for topic in &graph.topics {
        let ordered = if topic.ordered { " ordered" } else { "" };
        let publishers = topic.publishers.join(",");
        lines.push(format!("topic {} : {}{ordered} <- [{publishers}]", topic.name, topic.event_path));
    }
    for state in &graph.state {
        let service = state.service.as_deref().unwrap_or("shared");
        let users = state.users.join(",");
        lines.push(format!("resource {} : {} ({service}) <- [{users}]", state.name, state.type_path));
    }
    for auth in graph.auth.iter().filter(|auth| !auth.uses.is_empty()) {
        lines.push(format!("auth {}{}", auth.function, used(&auth.uses, &[])));
    }
    for subscription in &graph.subscriptions {
        lines.push(format!(
            "subscription {}/{} -> {} ({} : {})",
            subscription.topic,
            subscription.name,
            subscription.service,
            subscription.handler,
            subscription.event_path
        ));
    }
    for endpoint in &graph.endpoints {
        lines.push(format!(
            "endpoint {} {} -> {} ({})",
            endpoint.method, endpoint.path, endpoint.service, endpoint.handler
        ));
    }
    for mount in &graph.mounts {
        lines.push(format!("mount {} -> {} ({})", mount.path, mount.service, mount.handler));
    }
    for hook in &graph.hooks {
        lines.push(format!(
            "{} {} -> {}{}",
            hook.role.as_str(),
            hook.handler,
            hook.service,
            used(&hook.uses, &hook.calls)
        ));
    }
    for one in &graph.background {
        let Restart { min_backoff_ms, max_backoff_ms } = one.restart;
        lines.push(format!(
            "background {} ({min_backoff_ms}..{max_backoff_ms}) -> {}{}",
            one.handler,
            one.service,
            used(&one.uses, &one.calls)
        ));
    }
    lines.join("\n")
}

fn used(uses: &[FunctionUse], calls: &[FunctionCall]) -> String {
    let mut text = String::new();
    for FunctionUse { kind, resource, method } in uses {
        text += &format!(" [{kind} {resource} {}]", method.as_deref().unwrap_or("?"));
    }
    for FunctionCall { service, endpoint } in calls {
        text += &format!(" [calls {endpoint} of {service}]");
    }
    text
}

/// Checks that a fixture's graph has exactly these edges.
#[track_caller]
pub fn check(fixture: &str, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(edges(fixture), expected.join("\n"));
}

/// The edges that more source adds to the service of [`ORDERS`].
#[track_caller]
pub fn more(source: &str) -> Vec<String> {
    let own = edges(ORDERS);
    let all = edges(&format!("{ORDERS}{source}"));
    all.lines().filter(|line| !own.lines().any(|known| known == *line)).map(str::to_owned).collect()
}

/// The interfaces of a graph as text, and its named schemas.
pub fn interfaces(graph: &Graph) -> String {
    let mut text = String::new();
    for endpoint in &graph.endpoints {
        writeln!(text, "{} {}", endpoint.method, endpoint.path).unwrap();
        for parameter in &endpoint.parameters {
            let place = match parameter.place {
                ParameterPlace::Path => "path",
                ParameterPlace::Query => "query",
                ParameterPlace::Header => "header",
            };
            let optional = if parameter.required { "" } else { "?" };
            let description = parameter.description.as_ref().map(|text| format!(" // {text}"));
            writeln!(
                text,
                "  {place} {}{optional}: {}{}",
                parameter.name,
                parameter.schema,
                description.unwrap_or_default()
            )
            .unwrap();
        }
        if let Some(body) = &endpoint.body {
            let optional = if body.required { "" } else { "?" };
            let schema = body.schema.as_ref().map(|schema| format!(": {schema}")).unwrap_or_default();
            writeln!(text, "  body{optional} {}{schema}", body.content_type).unwrap();
        }
        for response in &endpoint.responses {
            let status = response.status.map_or("-".to_owned(), |status| status.to_string());
            let content = response.content_type.as_ref().map(|content| format!(" {content}"));
            let schema = response.schema.as_ref().map(|schema| format!(": {schema}"));
            writeln!(text, "  {status}{}{}", content.unwrap_or_default(), schema.unwrap_or_default())
                .unwrap();
        }
    }
    for (name, schema) in &graph.schemas {
        writeln!(text, "{name} = {schema}").unwrap();
    }
    text
}
