//! Functions of services that no event and no request calls: at the start, at the stop, and in the background. It knows nothing of
//! events and HTTP, though the functions do.

mod background;
mod entry;
mod function;
mod hooks;
mod restarts;
mod subsystem;

pub(crate) use background::Background;
pub use entry::{LifecycleEntry, Role, lifecycle_call, nested_lifecycle};
pub(crate) use hooks::Hooks;
pub(crate) use subsystem::Lifecycle;
