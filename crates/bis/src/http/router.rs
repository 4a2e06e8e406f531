//! Which path leads to which endpoint: the routers of both listeners, made of what the hosted services registered. Routes
//! that cannot stand together are an error that names both places.

use std::collections::HashMap;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
};

use super::{EndpointContext, error, internal, request};
use crate::{
    config::Secret,
    registry::{Access, EndpointEntry, MountEntry, Position, ServiceEntry, service_of},
};

/// The routers of both listeners.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    /// What everyone may call.
    pub(crate) public: Router,
    /// What the app's own processes may call; `None` when there is no secret.
    pub(crate) internal: Option<Router>,
}

/// Two routes that cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// The same method and path twice.
    #[error("`{method} {path}` is declared twice, at {first} and at {second}; change one of the paths")]
    Duplicate { method: &'static str, path: &'static str, first: Position, second: Position },
    /// Two paths that the router cannot tell apart.
    #[error(
        "the path `{second_path}` at {second} cannot stand beside `{first_path}` at {first}: give their parameters the same name, or change one of them"
    )]
    Conflict { first_path: String, first: Position, second_path: &'static str, second: Position },
    /// A path that is none.
    #[error("the path `{path}` at {position} is not valid: {reason}")]
    Invalid { path: &'static str, position: Position, reason: String },
}

impl Routers {
    /// The routers for the services that this process hosts.
    pub(crate) fn new(hosted: &[&ServiceEntry], secret: Option<&Secret>) -> Result<Self, RouteError> {
        let is_hosted = |module: &str| {
            service_of(module)
                .is_some_and(|service| hosted.iter().any(|other| other.module == service.module))
        };
        let mut endpoints: Vec<&'static EndpointEntry> =
            inventory::iter::<EndpointEntry>.into_iter().filter(|entry| is_hosted(entry.module)).collect();
        endpoints.sort_by_key(|entry| (entry.path, entry.method, entry.position));
        let mut mounts: Vec<&'static MountEntry> =
            inventory::iter::<MountEntry>.into_iter().filter(|entry| is_hosted(entry.module)).collect();
        mounts.sort_by_key(|entry| (entry.path, entry.position));
        let (public, private): (Vec<_>, Vec<_>) =
            endpoints.iter().copied().partition(|entry| entry.access == Access::Public);
        let public = fallbacks(router(&public, &mounts)?);
        let internal = match secret {
            None => None,
            Some(secret) => Some(internal::router(router(&private, &[])?, &endpoints, secret)),
        };
        Ok(Self { public, internal })
    }
}

fn router(
    endpoints: &[&'static EndpointEntry],
    mounts: &[&'static MountEntry],
) -> Result<Router, RouteError> {
    let mut claims = Claims::default();
    let mut router = Router::new();
    for entry in endpoints {
        claims.endpoint(entry)?;
        let service = service_of(entry.module).map_or("", |service| service.name);
        let context =
            EndpointContext { service, function: entry.function, method: entry.method, path: entry.path };
        router = router.route(entry.path, (entry.route)(context));
    }
    for entry in mounts {
        claims.mount(entry)?;
        // axum nests nothing at the root; there a mount is what no endpoint takes.
        router = match entry.path {
            "/" => router.fallback_service(mounted(entry)),
            path => router.nest_service(path, mounted(entry)),
        };
    }
    Ok(if mounts.iter().any(|entry| entry.path == "/") { router } else { router.fallback(not_found) })
}

/// A mounted router within the span and scope of its service.
fn mounted(entry: &'static MountEntry) -> Router {
    let service = service_of(entry.module).map(|service| service.name);
    (entry.router)().layer(middleware::from_fn(move |request: Request, next: Next| {
        let scope = request::scope(request.headers(), service, entry.function, entry.path);
        let span = request::span(&scope, request.method(), request.uri());
        request::run(scope, span, next.run(request))
    }))
}

/// Answers as JSON where no endpoint does.
pub(super) fn fallbacks(router: Router) -> Router {
    router.method_not_allowed_fallback(method_not_allowed)
}

async fn not_found(uri: Uri) -> Response {
    error::answer(StatusCode::NOT_FOUND, &format!("there is nothing at `{}`", uri.path()), false)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let message = format!("`{}` does not take `{method}`", uri.path());
    error::answer(StatusCode::METHOD_NOT_ALLOWED, &message, false)
}

/// The paths that are taken, in the very matcher that axum uses.
#[derive(Default)]
struct Claims {
    matcher: matchit::Router<()>,
    paths: HashMap<String, Position>,
    methods: HashMap<(&'static str, &'static str), Position>,
}

impl Claims {
    fn endpoint(&mut self, entry: &'static EndpointEntry) -> Result<(), RouteError> {
        let (method, path, position) = (entry.method, entry.path, entry.position);
        if let Some(first) = self.methods.insert((method, path), position) {
            return Err(RouteError::Duplicate { method, path, first, second: position });
        }
        if self.paths.contains_key(path) {
            return Ok(());
        }
        self.claim(path.to_owned(), path, position)
    }

    fn mount(&mut self, entry: &'static MountEntry) -> Result<(), RouteError> {
        let (path, position) = (entry.path, entry.position);
        if path == "/" {
            let first = self.methods.insert(("mount", path), position);
            return match first {
                Some(first) => Err(RouteError::Duplicate { method: "mount", path, first, second: position }),
                None => Ok(()),
            };
        }
        for taken in [path.to_owned(), format!("{path}/"), format!("{path}/{{*rest}}")] {
            self.claim(taken, path, position)?;
        }
        Ok(())
    }

    fn claim(&mut self, taken: String, path: &'static str, position: Position) -> Result<(), RouteError> {
        match self.matcher.insert(taken.clone(), ()) {
            Ok(()) => {
                self.paths.insert(taken, position);
                Ok(())
            }
            Err(matchit::InsertError::Conflict { with }) => {
                let first = self.paths.get(&with).copied().unwrap_or(position);
                Err(RouteError::Conflict { first_path: with, first, second_path: path, second: position })
            }
            Err(error) => Err(RouteError::Invalid { path, position, reason: error.to_string() }),
        }
    }
}
