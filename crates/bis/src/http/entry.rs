//! What `#[api]` and `#[mount]` register, found again by the app that lists the function's service. It holds plain data and
//! function pointers, decides nothing and runs nothing.

use std::time::Duration;

use axum::Router;

use super::{
    AskedUser, EndpointContext, RemoteHandler,
    layers::{MakeLayers, RequestService},
};
use crate::instance::{Position, ServiceEntry, Services};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the app's public listener.
    Public,
    /// Everyone who reaches it and is known to the app's `#[auth]` function.
    Auth,
    /// Only this app's own processes.
    Private,
}

impl Access {
    /// The word in the attribute and in the graph.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Public => "public",
            Access::Auth => "auth",
            Access::Private => "private",
        }
    }
}

/// An HTTP endpoint, as `#[api]` declares it.
pub struct EndpointEntry {
    /// The path of the module that holds the function, its crate first.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The HTTP method, upper-case.
    pub method: &'static str,
    /// The path in axum's notation, as in `/orders/{id}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What each parameter asks of the app's user.
    pub users: fn() -> Vec<Option<AskedUser>>,
    /// The function behind its extractors.
    pub route: fn(EndpointContext) -> RequestService,
    /// The layers around it.
    pub layers: MakeLayers,
    /// The largest body that it takes, in bytes, where its attribute says so.
    pub body_limit: Option<u64>,
    /// How long it may take, where its attribute says so.
    pub timeout: Option<Duration>,
    /// The function behind a call from another process of the app.
    pub remote: RemoteHandler,
    /// The paths that the function calls, as it writes them.
    pub calls: &'static [&'static str],
}

impl EndpointEntry {
    /// What its parameters ask of the app's user.
    pub(super) fn asked_users(&self) -> Vec<AskedUser> {
        (self.users)().into_iter().flatten().collect()
    }
}

/// A router that is served as it is, as `#[mount]` declares it.
pub struct MountEntry {
    /// The path of the module that holds the function, its crate first.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The path under which the router is served.
    pub path: &'static str,
    /// Makes the router.
    pub router: fn() -> axum::Router,
}

/// The layers of a service, as `service!` declares them.
pub struct ServiceLayersEntry {
    /// The path of the service's module, its crate first.
    pub module: &'static str,
    /// The layers around each of its endpoints and mounts.
    pub layers: MakeLayers,
}

inventory::collect!(EndpointEntry);
inventory::collect!(ServiceLayersEntry);
inventory::collect!(MountEntry);

/// An entry with the service that it belongs to.
pub(super) type Owned<E> = (&'static E, &'static ServiceEntry);

/// Every endpoint of these services, in a stable order.
pub(super) fn endpoints(services: &Services) -> Vec<Owned<EndpointEntry>> {
    let all = inventory::iter::<EndpointEntry>.into_iter();
    let mut own: Vec<_> = all.filter_map(|entry| Some((entry, services.of(entry.module)?))).collect();
    own.sort_by_key(|(entry, service)| (service.name, entry.path, entry.method));
    own
}

/// Every mount of these services, in a stable order.
pub(super) fn mounts(services: &Services) -> Vec<Owned<MountEntry>> {
    let all = inventory::iter::<MountEntry>.into_iter();
    let mut own: Vec<_> = all.filter_map(|entry| Some((entry, services.of(entry.module)?))).collect();
    own.sort_by_key(|(entry, service)| (service.name, entry.path));
    own
}

/// The layers of a service.
pub(super) fn service_layers(service: &ServiceEntry) -> Option<MakeLayers> {
    let mut all = inventory::iter::<ServiceLayersEntry>.into_iter();
    all.find(|entry| entry.module == service.module).map(|entry| entry.layers)
}

/// Represents a mount in the wrong place, so that its place is its only error.
pub fn nested_mount() -> Router {
    Router::new()
}
