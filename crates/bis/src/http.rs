//! Endpoints over HTTP: the public listener, the internal one for calls between the app's own processes, and those calls.
//!
//! | Listener | Serves |
//! |---|---|
//! | public | `public` and `auth` endpoints, mounts |
//! | internal | calls of every endpoint by its function, and `private` endpoints by their path; each with the secret |
//!
//! Nothing here knows of topics.

mod auth;
mod body;
mod bounds;
mod call;
mod client;
mod connection;
mod endpoint;
mod entry;
mod error;
mod internal;
mod layers;
mod listeners;
mod metrics;
pub mod probe;
mod problem;
mod refusal;
mod request;
mod router;
mod server;
mod stack;
mod stream;
mod subsystem;
#[cfg(test)]
mod tests;
#[cfg(feature = "garde")]
mod valid;
mod wire;
#[cfg(feature = "testing")]
mod without_socket;
#[cfg(feature = "ws")]
pub mod ws;

pub use auth::{
    AskedUser, Auth, AuthEntry, AuthExtractor, AuthFuture, Authenticated, Guard, authenticated, head_part,
};
pub use bounds::mounted;
pub use call::{Call, call_elsewhere};
pub use endpoint::{EndpointContext, from_parts, from_request, respond, route, split};
pub use entry::{Access, EndpointEntry, MountEntry, ServiceLayersEntry, nested_mount};
pub use internal::{Arguments, RemoteFuture, RemoteHandler, unnamed_result};
pub use layers::{Layers, MakeLayers, RequestService, layer, no_layers};
pub use stream::EndsAtStop;

#[cfg(feature = "garde")]
pub use valid::Valid;

pub(crate) use auth::Authentication;
pub(crate) use client::Client;
pub(crate) use listeners::{Listeners, PUBLIC, listen, serve_until_aborted};
pub(crate) use metrics::{Metrics, Unmeasured};
pub(crate) use request::MAX_BODY_BYTES;
pub(crate) use subsystem::Http;
#[cfg(feature = "testing")]
pub(crate) use {error::error_of, router::Routers, without_socket::answer};
