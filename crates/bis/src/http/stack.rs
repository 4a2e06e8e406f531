//! What runs between a route and its function: the layers of the service, then those of the endpoint. Each is made once for an
//! app, so that what a layer counts, it counts for the whole service.

use std::{collections::HashMap, future::ready, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, header::ACCESS_CONTROL_REQUEST_METHOD},
    routing::{MethodFilter, MethodRouter},
};
use bis_core::{codes, format_duration};

use super::{
    EndpointContext, Guard,
    entry::{self, EndpointEntry, MountEntry, Owned},
    error,
    layers::{LayerError, Layers, RequestService},
    request::{self, Place},
    router::{method_not_allowed, not_found},
};
use crate::instance::Services;

/// The layers of the services, which wait for what they are put around.
pub(super) struct Stacks {
    /// By service; none for a service without layers.
    services: HashMap<&'static str, RequestService>,
}

/// What the layers of a service are around, for one request.
#[derive(Clone)]
struct Target(RequestService);

/// An endpoint with its layers.
struct Served {
    method: &'static str,
    service: RequestService,
    has_layers: bool,
}

impl Stacks {
    /// The layers of these services.
    pub(super) fn new(hosted: &Services) -> Result<Self, LayerError> {
        let mut services = HashMap::new();
        for service in hosted.iter() {
            let Some(make) = entry::service_layers(service) else { continue };
            let whose = format_args!("the service `{}`", service.name);
            let layers = Layers::make(make, whose)?;
            if !layers.is_empty() {
                services.insert(service.name, layers.around(target(service.name), whose)?);
            }
        }
        Ok(Self { services })
    }

    /// A router of endpoints and mounts, whose routes can be served together.
    pub(super) fn router(
        &mut self,
        endpoints: &[Owned<EndpointEntry>],
        mounts: &[Owned<MountEntry>],
    ) -> Result<Router, LayerError> {
        let mut router = Router::new();
        // They are sorted by path.
        for at_path in endpoints.chunk_by(|(first, _), (second, _)| first.path == second.path) {
            let served: Result<Vec<_>, _> = at_path.iter().map(|owned| self.endpoint(*owned)).collect();
            let path = at_path.first().map_or("/", |(entry, _)| entry.path);
            router = router.route(path, methods(served?));
        }
        for (entry, service) in mounts {
            let place = Place { service: service.name, function: entry.function, route: entry.path };
            let mounted = self.within_service(place, RequestService::new((entry.router)()));
            // axum nests nothing at the root; there a mount is what no endpoint takes.
            router = match entry.path {
                "/" => router.fallback_service(mounted),
                path => router.nest_service(path, mounted),
            };
        }
        Ok(if mounts.iter().any(|(entry, _)| entry.path == "/") {
            router
        } else {
            router.fallback(not_found)
        })
    }

    fn endpoint(&self, (entry, service): Owned<EndpointEntry>) -> Result<Served, LayerError> {
        let context = EndpointContext {
            service: service.name,
            function: entry.function,
            method: entry.method,
            path: entry.path,
            guard: Guard::of(entry),
            body_limit: entry.body_limit,
            timeout: entry.timeout,
        };
        let function = (entry.route)(context);
        let whose = format_args!("`{} {}` at {}", entry.method, entry.path, entry.position);
        let layers = Layers::make(entry.layers, whose)?;
        let has_layers = !layers.is_empty() || self.services.contains_key(service.name);
        let layered = match has_layers {
            true => layers.around(unless_preflight(entry.method, function), whose)?,
            false => function,
        };
        let place = Place { service: service.name, function: entry.function, route: entry.path };
        Ok(Served { method: entry.method, service: self.within_service(place, layered), has_layers })
    }

    /// What a route leads to: its place is known from here on, and the layers of its service come first.
    fn within_service(&self, place: Place, inner: RequestService) -> RequestService {
        let layers = self.services.get(place.service).cloned();
        RequestService::from_fn(move |mut request| {
            let scope = request::found(&request, place);
            let answer = match &layers {
                None => inner.answer(request),
                Some(layers) => {
                    request.extensions_mut().insert(Target(inner.clone()));
                    layers.answer(request)
                }
            };
            match scope {
                None => answer,
                Some(scope) => Box::pin(scope.run(answer)),
            }
        })
    }
}

/// A layer made a request of its own.
#[derive(Debug, thiserror::Error)]
#[error(
    "a layer of the service `{service}` made a new request without the extensions of the one that it took: hand them on [{}]",
    codes::LAYER_LOSES_REQUEST
)]
struct LostRequest {
    service: &'static str,
}

/// The innermost service of a service's layers: where the request was on its way to.
fn target(service: &'static str) -> RequestService {
    RequestService::from_fn(move |mut request| match request.extensions_mut().remove() {
        Some(Target(inner)) => inner.answer(request),
        None => {
            tracing::error!("{}", LostRequest { service });
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Box::pin(ready(Ok(error::answer(status, error::message(status)))))
        }
    })
}

/// An endpoint's function, which a CORS preflight that no layer answers does not reach.
fn unless_preflight(method: &'static str, function: RequestService) -> RequestService {
    RequestService::from_fn(move |request| match preflight(&request) {
        Some(_) if method != Method::OPTIONS.as_str() => refuse_method(request),
        _ => function.answer(request),
    })
}

/// The method that a CORS preflight asks about (<https://fetch.spec.whatwg.org/#cors-preflight-request>).
fn preflight(request: &Request) -> Option<&[u8]> {
    let is_options = request.method() == Method::OPTIONS;
    let headers = Some(request.headers()).filter(|_| is_options)?;
    headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(|method| method.as_bytes())
}

/// The endpoints of one path. A preflight goes the way of the endpoint that it asks about, since that one's layers know the
/// answer.
fn methods(served: Vec<Served>) -> MethodRouter {
    let mut router = MethodRouter::new();
    for Served { method, service, .. } in &served {
        router = router.on_service(filter(method), service.clone());
    }
    let layered: Vec<_> = served.into_iter().filter(|one| one.has_layers).collect();
    router.fallback_service(RequestService::from_fn(move |request| {
        let asked = preflight(&request).and_then(|asked| {
            let of = |method: &[u8]| layered.iter().find(|one| one.method.as_bytes() == method);
            // As a request of that method would: HEAD goes to GET where nothing else takes it.
            of(asked).or_else(|| of(b"GET").filter(|_| asked == b"HEAD"))
        });
        match asked {
            Some(endpoint) => endpoint.service.answer(request),
            None => refuse_method(request),
        }
    }))
}

fn filter(method: &str) -> MethodFilter {
    let method = Method::from_bytes(method.as_bytes()).ok();
    let filter = method.and_then(|method| MethodFilter::try_from(method).ok());
    filter.expect("the grammar of `#[api]` takes no other method")
}

fn refuse_method(request: Request) -> super::layers::Answering {
    Box::pin(async move { Ok(method_not_allowed(request.method().clone(), request.uri().clone()).await) })
}

/// A timeout that never comes, since the request is cut off before.
#[derive(Debug, thiserror::Error)]
#[error(
    "the timeout of `{method} {path}` ({}) is longer than `http.request_timeout` ({}), after which the request is cut off: make one of them fit [{}]",
    format_duration(*timeout),
    format_duration(*limit),
    codes::ENDPOINT_TIMEOUT
)]
pub(super) struct TimeoutTooLong {
    method: &'static str,
    path: &'static str,
    timeout: Duration,
    limit: Duration,
}

/// The endpoints whose timeouts are longer than a request may take.
pub(super) fn too_long(hosted: &Services, limit: Duration) -> Vec<TimeoutTooLong> {
    let endpoints = entry::endpoints(hosted).into_iter();
    let own = endpoints.filter_map(|(entry, _)| Some((entry, entry.timeout?)));
    own.filter(|(_, timeout)| *timeout > limit)
        .map(|(entry, timeout)| TimeoutTooLong { method: entry.method, path: entry.path, timeout, limit })
        .collect()
}

#[cfg(test)]
mod tests;
