//! What `#[on_start]`, `#[on_stop]` and `#[background]` register, found again by the app that lists the function's service. It
//! holds plain data and function pointers, decides nothing and runs nothing.

use std::{future::Future, pin::Pin};

use bis_core::policy::RestartPolicy;

use crate::{
    error::{Error, Result},
    instance::{Position, ServiceEntry, Services},
};

/// What a function returns, boxed.
pub type LifecycleFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A function that its app calls by itself.
pub struct LifecycleEntry {
    /// The path of the module that holds the function, its crate first.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// When it is called.
    pub role: Role,
    /// Calls it.
    pub call: fn() -> LifecycleFuture,
    /// The paths that the function calls, as it writes them.
    pub calls: &'static [&'static str],
}

/// When a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Before the app is ready.
    OnStart,
    /// When the app stops.
    OnStop,
    /// While the app is ready; again after it has ended.
    Background(RestartPolicy),
}

impl Role {
    /// The attribute's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OnStart => "on_start",
            Self::OnStop => "on_stop",
            Self::Background(_) => "background",
        }
    }
}

inventory::collect!(LifecycleEntry);

/// What the function returns: a result whose error is, or becomes, [`bis::Error`](crate::Error).
#[diagnostic::on_unimplemented(
    message = "the function returns `{Self}`, which does not say whether it failed",
    label = "not a `bis::Result<()>`",
    note = "return `bis::Result<()>`, as functions under `#[on_start]`, `#[on_stop]` and `#[background]` do",
    note = "an error of another type must become a `bis::Error`: derive `thiserror::Error` for it"
)]
pub trait LifecycleOutput {
    /// Whether it failed.
    fn into_result(self) -> Result<()>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> LifecycleOutput for std::result::Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Calls a function.
pub fn lifecycle_call<F>(function: fn() -> F) -> LifecycleFuture
where
    F: Future<Output: LifecycleOutput> + Send + 'static,
{
    Box::pin(async move { function().await.into_result() })
}

/// Represents a function in the wrong place, so that its place is its only error.
pub async fn nested_lifecycle() -> Result<()> {
    Ok(())
}

/// An entry with the service that it belongs to.
pub(super) type Owned = (&'static LifecycleEntry, &'static ServiceEntry);

/// Every function of these services, in the order of the source within each.
pub(super) fn functions(services: &Services) -> Vec<Owned> {
    let all = inventory::iter::<LifecycleEntry>.into_iter();
    let mut own: Vec<_> = all.filter_map(|entry| Some((entry, services.of(entry.module)?))).collect();
    // Those that one macro call makes have one position.
    own.sort_by_key(|(entry, service)| (service.name, entry.position, entry.function));
    own
}
