//! Which path leads to which endpoint: the routers of both listeners, made of what the hosted services registered. Routes
//! that cannot be served together are an error that names both places.

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    response::Response,
    routing::any,
};
use bis_config::Secret;
use bis_core::{
    codes,
    route::{RouteConflict, Routes},
};

use super::{
    entry::{self, Access, EndpointEntry, MountEntry, Owned},
    error, internal,
    layers::{LayerError, Layers, MakeLayers, RequestService},
    stack::Stacks,
};
use crate::instance::{Position, Services};

/// The routers of both listeners.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    /// What everyone may call.
    pub(crate) public: RequestService,
    /// What the app's own processes may call; `None` when there is no secret.
    pub(crate) internal: Option<RequestService>,
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
    /// Whether the routes of these services can be served together.
    pub(crate) fn check(hosted: &Services) -> Result<(), RouteError> {
        let (public, private) = endpoints(hosted);
        check(&public, &mounts(hosted))?;
        check(&private, &[])
    }

    /// What answers requests for the services that this process hosts, with `layers` around what is public. Their routes
    /// have been [checked](Self::check). It calls the app's code, which makes the layers.
    pub(crate) fn new(
        hosted: &Services,
        secret: Option<&Secret>,
        layers: MakeLayers,
    ) -> Result<Self, LayerError> {
        let mut stacks = Stacks::new(hosted)?;
        let (public, private) = endpoints(hosted);
        let router = fallbacks(stacks.router(&public, &mounts(hosted))?.route(EVERY_CALL, any(not_internal)));
        let layers = Layers::make(layers, APP)?;
        let public = match layers.is_empty() {
            true => RequestService::new(router),
            false => layers.around(RequestService::new(router), APP)?,
        };
        let internal = match secret {
            None => None,
            Some(secret) => {
                let all = entry::endpoints(hosted);
                Some(RequestService::new(internal::router(stacks.router(&private, &[])?, &all, secret)))
            }
        };
        Ok(Self { public, internal })
    }
}

/// How an error names the layers that `app!` lists.
const APP: &str = "the app";

/// The endpoints of both listeners, public and private ones.
fn endpoints(hosted: &Services) -> (Vec<Owned<EndpointEntry>>, Vec<Owned<EndpointEntry>>) {
    let mut endpoints = entry::endpoints(hosted);
    endpoints.sort_by_key(|(entry, _)| (entry.path, entry.method, entry.position));
    endpoints.into_iter().partition(|(entry, _)| entry.access != Access::Private)
}

fn mounts(hosted: &Services) -> Vec<Owned<MountEntry>> {
    let mut mounts = entry::mounts(hosted);
    mounts.sort_by_key(|(entry, _)| (entry.path, entry.position));
    mounts
}

fn check(endpoints: &[Owned<EndpointEntry>], mounts: &[Owned<MountEntry>]) -> Result<(), RouteError> {
    let mut routes = Routes::default();
    for (entry, _) in endpoints {
        let added = routes.endpoint(entry.method, entry.path, entry.position);
        added.map_err(|conflict| RouteError::new(conflict, entry.method, entry.path, entry.position))?;
    }
    for (entry, _) in mounts {
        let added = routes.mount(entry.path, entry.position);
        added.map_err(|conflict| RouteError::new(conflict, "mount", entry.path, entry.position))?;
    }
    Ok(())
}

/// Answers as JSON where no endpoint does.
pub(super) fn fallbacks(router: Router) -> Router {
    router.method_not_allowed_fallback(method_not_allowed)
}

/// The paths of calls between the app's own processes, which no endpoint can have.
const EVERY_CALL: &str = "/_bis/{*call}";

/// Tells the app's other processes that they have the wrong address.
async fn not_internal() -> Response {
    let message = "this is a public listener: set the service's address in `internal.services` to the `internal.address` of its process";
    error::refuse_call(StatusCode::MISDIRECTED_REQUEST, message)
}

pub(super) async fn not_found(uri: Uri) -> Response {
    error::answer(StatusCode::NOT_FOUND, format!("there is nothing at `{}`", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let message = format!("`{}` does not take `{method}`", uri.path());
    error::answer(StatusCode::METHOD_NOT_ALLOWED, message)
}
