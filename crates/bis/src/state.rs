//! What services keep beside their events and requests: resources such as a pool or a client of another system, each a static.
//! An app creates those of the services that it hosts when it starts, and drops them when it stops; each app has its own, so
//! that parallel tests never meet.

mod creation;
mod entry;
mod error;
mod part;
mod resource;
mod store;
mod subsystem;

pub use entry::{Constructor, Creating, RegisteredResource, ResourceEntry, create, made_by, resource};
pub use error::NoResource;
pub(crate) use part::Creation;
pub use resource::Resource;
pub use store::Replaced;
pub(crate) use store::Store;
pub(crate) use subsystem::State;
