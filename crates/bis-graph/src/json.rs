//! The JSON of graphs and diagnostics, which other programs read: names here are a contract.

use serde_json::{Value, json};

use crate::{Diagnostic, Graph, Position};

/// The graph as one JSON object, indented.
pub fn graph(graph: &Graph) -> String {
    serde_json::to_string_pretty(graph).expect("a graph has text keys only")
}

/// Diagnostics as `{"diagnostics":[..]}`.
pub fn diagnostics(diagnostics: &[Diagnostic]) -> Value {
    json!({ "diagnostics": diagnostics.iter().map(diagnostic).collect::<Vec<_>>() })
}

/// One diagnostic. Without a position, `file`, `line` and `column` are null.
pub fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let mut value = json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "file": null,
        "line": null,
        "column": null,
        "label": diagnostic.label,
        "labels": diagnostic.labels.iter().map(|label| {
            let mut value = json!({ "message": label.message });
            place(&mut value, &label.position);
            value
        }).collect::<Vec<_>>(),
        "help": diagnostic.help,
    });
    if let Some(position) = &diagnostic.position {
        place(&mut value, position);
    }
    value
}

fn place(value: &mut Value, position: &Position) {
    value["file"] = json!(&*position.file);
    value["line"] = json!(position.line);
    value["column"] = json!(position.column);
    value["end_line"] = json!(position.end_line);
    value["end_column"] = json!(position.end_column);
}

/// What the graph shares with the running app: the same object that `BIS_DESCRIBE=1` prints, for comparing the two.
pub fn description(graph: &Graph) -> Value {
    let mut endpoints: Vec<_> = graph.endpoints.iter().collect();
    endpoints.sort_by_key(|endpoint| (&endpoint.service, &endpoint.path, &endpoint.method));
    json!({
        "app": graph.app,
        "services": graph.services.iter().map(|service| json!({ "name": service.name })).collect::<Vec<_>>(),
        "resources": graph.state.iter().map(|state| json!({
            "static": state.static_path,
            "service": state.service,
        })).collect::<Vec<_>>(),
        "subscriptions": graph.subscriptions.iter().map(|subscription| json!({
            "topic": subscription.topic,
            "name": subscription.name,
            "service": subscription.service,
            "handler": subscription.handler,
            "event": subscription.event,
        })).collect::<Vec<_>>(),
        "auth": graph.auth.iter().map(|auth| json!({
            "function": auth.function,
            "user": auth.user,
        })).collect::<Vec<_>>(),
        "endpoints": endpoints.iter().map(|endpoint| json!({
            "service": endpoint.service,
            "name": endpoint.name,
            "method": endpoint.method,
            "path": endpoint.path,
            "access": endpoint.access,
        })).collect::<Vec<_>>(),
        "mounts": graph.mounts.iter().map(|mount| json!({
            "service": mount.service,
            "path": mount.path,
        })).collect::<Vec<_>>(),
        "hooks": graph.hooks.iter().map(|hook| json!({
            "service": hook.service,
            "handler": hook.handler,
            "role": hook.role,
        })).collect::<Vec<_>>(),
        "background": graph.background.iter().map(|background| json!({
            "service": background.service,
            "handler": background.handler,
        })).collect::<Vec<_>>(),
    })
}
