//! What `#[api]` and `#[mount]` register, found again by the app that lists the function's service. It holds plain data and
//! function pointers, decides nothing and runs nothing.

use axum::{Router, routing::MethodRouter};

use super::{EndpointContext, RemoteHandler};
use crate::instance::{Position, ServiceEntry, Services};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the app's public listener.
    Public,
    /// Only this app's own processes.
    Private,
}

impl Access {
    /// The word in the attribute and in the graph.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Public => "public",
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
    /// The function behind its extractors.
    pub route: fn(EndpointContext) -> MethodRouter,
    /// The function behind a call from another process of the app.
    pub remote: RemoteHandler,
    /// The paths that the function calls, as it writes them.
    pub calls: &'static [&'static str],
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

inventory::collect!(EndpointEntry);
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

/// Stands for a mount that is not where one may be, so that its place is its only error.
pub fn nested_mount() -> Router {
    Router::new()
}
