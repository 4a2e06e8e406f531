//! Which path leads to which endpoint: the routers of both listeners, made of what the hosted services registered. Routes
//! that cannot be served together are an error that names both places.

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
    routing::any,
};

use bis_config::Secret;
use bis_core::{
    codes,
    route::{RouteConflict, Routes},
};

use super::{
    EndpointContext,
    entry::{self, Access, EndpointEntry, MountEntry, Owned},
    error, internal, request,
};
use crate::instance::{Position, Services};

/// The routers of both listeners.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    /// What everyone may call.
    pub(crate) public: Router,
    /// What the app's own processes may call; `None` when there is no secret.
    pub(crate) internal: Option<Router>,
}

/// Routes that cannot be served together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// The same method and path twice.
    #[error(
        "`{method} {path}` is declared twice, at {first} and at {second}; change one of the paths [{}]",
        codes::SAME_ENDPOINT
    )]
    Duplicate { method: &'static str, path: &'static str, first: Position, second: Position },
    /// Two paths that the router cannot tell apart.
    #[error(
        "the path `{second_path}` at {second} cannot be served beside `{first_path}` at {first}: give their parameters the same name, or change one of them [{}]",
        codes::ROUTE_CONFLICT
    )]
    Conflict { first_path: String, first: Position, second_path: &'static str, second: Position },
    /// A path that cannot be served.
    #[error("the path `{path}` at {position} is not valid: {reason} [{}]", codes::ROUTE)]
    Invalid { path: &'static str, position: Position, reason: String },
}

impl RouteError {
    fn new(
        conflict: RouteConflict<Position>,
        method: &'static str,
        path: &'static str,
        position: Position,
    ) -> Self {
        match conflict {
            RouteConflict::Same { first } => Self::Duplicate { method, path, first, second: position },
            RouteConflict::Beside { path: first_path, first } => {
                Self::Conflict { first_path, first, second_path: path, second: position }
            }
            RouteConflict::Invalid { reason } => Self::Invalid { path, position, reason },
        }
    }
}

impl Routers {
    /// The routers for the services that this process hosts.
    pub(crate) fn new(hosted: &Services, secret: Option<&Secret>) -> Result<Self, RouteError> {
        let mut endpoints = entry::endpoints(hosted);
        endpoints.sort_by_key(|(entry, _)| (entry.path, entry.method, entry.position));
        let mut mounts = entry::mounts(hosted);
        mounts.sort_by_key(|(entry, _)| (entry.path, entry.position));
        let (public, private): (Vec<_>, Vec<_>) =
            endpoints.iter().copied().partition(|(entry, _)| entry.access == Access::Public);
        let public = router(&public, &mounts)?.route(EVERY_CALL, any(not_internal));
        let public = fallbacks(public);
        let internal = match secret {
            None => None,
            Some(secret) => Some(internal::router(router(&private, &[])?, &endpoints, secret)),
        };
        Ok(Self { public, internal })
    }
}

fn router(endpoints: &[Owned<EndpointEntry>], mounts: &[Owned<MountEntry>]) -> Result<Router, RouteError> {
    let mut routes = Routes::default();
    let mut router = Router::new();
    for (entry, service) in endpoints {
        let added = routes.endpoint(entry.method, entry.path, entry.position);
        added.map_err(|conflict| RouteError::new(conflict, entry.method, entry.path, entry.position))?;
        let context = EndpointContext {
            service: service.name,
            function: entry.function,
            method: entry.method,
            path: entry.path,
        };
        router = router.route(entry.path, (entry.route)(context));
    }
    for (entry, service) in mounts {
        let added = routes.mount(entry.path, entry.position);
        added.map_err(|conflict| RouteError::new(conflict, "mount", entry.path, entry.position))?;
        // axum nests nothing at the root; there a mount is what no endpoint takes.
        router = match entry.path {
            "/" => router.fallback_service(mounted(entry, service.name)),
            path => router.nest_service(path, mounted(entry, service.name)),
        };
    }
    Ok(if mounts.iter().any(|(entry, _)| entry.path == "/") { router } else { router.fallback(not_found) })
}

/// A mounted router within the span and scope of its service.
fn mounted(entry: &'static MountEntry, service: &'static str) -> Router {
    (entry.router)().layer(middleware::from_fn(move |request: Request, next: Next| {
        let scope = request::scope(request.headers(), Some(service), entry.function, entry.path);
        let span = request::span(&scope, request.method(), request.uri());
        request::run(scope, span, next.run(request))
    }))
}

/// Answers as JSON where no endpoint does.
pub(super) fn fallbacks(router: Router) -> Router {
    router.method_not_allowed_fallback(method_not_allowed)
}

/// The paths of calls between the app's own processes, which no endpoint can have.
const EVERY_CALL: &str = "/_bis/{*call}";

/// Says to the app's other processes that they have the wrong address.
async fn not_internal() -> Response {
    let message = "this is a public listener: set the service's address in `internal.services` to the `internal.address` of its process";
    error::refuse_call(StatusCode::MISDIRECTED_REQUEST, message)
}

async fn not_found(uri: Uri) -> Response {
    error::answer(StatusCode::NOT_FOUND, format!("there is nothing at `{}`", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let message = format!("`{}` does not take `{method}`", uri.path());
    error::answer(StatusCode::METHOD_NOT_ALLOWED, message)
}
