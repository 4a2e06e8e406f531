//! The application graph: what an app declares, how its parts are wired, and where each is in the source.
//!
//! The model is plain data. Based on it are the rules ([`rules::check`]), the [`Diagnostic`]s with their catalogue
//! ([`codes`]) and rendering ([`mod@render`]), and the exports ([`json`], [`mermaid`]). Nothing here reads a file, parses
//! Rust or talks to a broker.

mod compare;
mod interface;
mod model;
mod position;
mod resource;

pub mod codes;
pub mod diagnostic;
pub mod json;
pub mod mermaid;
pub mod render;
pub mod rules;

pub use bis_core::ResourceKind;
pub use compare::compare;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use interface::{Parameter, ParameterPlace, RequestBody, Response};
pub use model::{
    Access, AskedUser, AuthFunction, Background, Batch, Call, Endpoint, EventType, FunctionCall, FunctionUse,
    Graph, Hook, HookRole, Mount, PublishDelay, Restart, Retention, Retry, Service, State, Subscription,
    Topic, Use, VERSION, millis,
};
pub use position::Position;
pub use render::{Colour, Sources, render};
pub use resource::Resource;
