//! Endpoints over HTTP: the public listener, the internal one for calls between the app's own processes, and those calls.
//!
//! | Listener | Serves |
//! |---|---|
//! | public | `public` endpoints, mounts |
//! | internal | calls of every endpoint by its function, and `private` endpoints by their path; each with the secret |
//!
//! Nothing here knows of topics, opens a listener or reads the configuration file: listeners and addresses are given.

mod body;
mod bounds;
mod call;
mod client;
mod connection;
mod endpoint;
mod entry;
mod error;
mod internal;
pub mod probe;
mod request;
mod router;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use bounds::mounted;
pub use call::{Call, call_elsewhere};
pub use endpoint::{EndpointContext, from_parts, from_request, respond, route, split};
pub use entry::{Access, EndpointEntry, MountEntry, nested_mount};
pub use internal::{Arguments, RemoteFuture, RemoteHandler, unnamed_result};

pub(crate) use client::Client;
pub(crate) use connection::Limits;
pub(crate) use request::MAX_BODY_BYTES;
pub(crate) use router::{RouteError, Routers};
pub(crate) use server::{Serving, Stop, answer, serve};
