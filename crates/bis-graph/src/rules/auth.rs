//! Whether endpoints and the app's `#[auth]` function fit together. A missing function is reported by the analyser, which knows
//! what it could not read.

use crate::{Access, AuthFunction, Diagnostic, Graph, codes};

/// Applies the rules.
pub(super) fn check(graph: &Graph, found: &mut Vec<Diagnostic>) {
    let certain: Vec<&AuthFunction> = graph.auth.iter().filter(|auth| auth.condition.is_none()).collect();
    if let Some((first, others)) = certain.split_first() {
        for other in others {
            found.push(
                Diagnostic::error(
                    codes::TWO_AUTHS,
                    other.position.clone(),
                    format!("the app has two `#[auth]` functions, `{}` and `{}`", first.function, other.function),
                )
                .labelled("the second one")
                .and(first.position.clone(), "the first one")
                .help("keep one of them; where requests differ in how they are authenticated, let it look at them"),
            );
        }
    }
    if let [function] = graph.auth.as_slice() {
        other_users(graph, function, found);
    }
    unused(graph, found);
}

/// Endpoints that take another type than the function returns.
fn other_users(graph: &Graph, function: &AuthFunction, found: &mut Vec<Diagnostic>) {
    for endpoint in &graph.endpoints {
        for asked in &endpoint.users {
            // An empty path says that the type could not be resolved: then the starting app is the judge.
            if asked.path == function.user_path || asked.path.is_empty() || function.user_path.is_empty() {
                continue;
            }
            let (taken, user) = match asked.name == function.user {
                true => (&asked.path, &function.user_path),
                false => (&asked.name, &function.user),
            };
            found.push(
                Diagnostic::error(
                    codes::OTHER_USER,
                    asked.position.clone(),
                    format!(
                        "the endpoint `{}` takes `Auth<{taken}>`, but the app's user is `{user}`",
                        endpoint.name
                    ),
                )
                .labelled(format!("takes `{taken}`"))
                .and(function.position.clone(), format!("returns `{user}`"))
                .help(format!("take `Auth<{user}>`")),
            );
        }
    }
}

/// A function that never runs.
fn unused(graph: &Graph, found: &mut Vec<Diagnostic>) {
    if graph.endpoints.iter().any(|endpoint| endpoint.asks_who_calls()) {
        return;
    }
    found.extend(graph.auth.iter().map(|function| {
        Diagnostic::warning(
            codes::UNUSED_AUTH,
            function.position.clone(),
            format!(
                "no endpoint asks who calls, so the `#[auth]` function `{}` never runs",
                function.function
            ),
        )
        .help("make the endpoints `auth` that are not for everyone, as in `#[api(GET, \"/orders\", auth)]`")
    }));
}

impl crate::Endpoint {
    /// Whether the app's `#[auth]` function runs for its requests.
    pub fn asks_who_calls(&self) -> bool {
        self.access == Access::Auth || (self.access == Access::Public && !self.users.is_empty())
    }
}
