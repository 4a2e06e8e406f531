//! The registry of resources: what `resource!` leaves in the program for each of them. It knows no app.

use std::{
    any::Any,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, LazyLock, OnceLock, Weak},
};

use super::Resource;
use crate::{
    error::{Error, Result},
    instance::{Position, service_of},
};

/// A resource, as `resource!` registers it.
#[derive(Debug)]
pub struct ResourceEntry {
    /// The path of its module, its crate first.
    module: &'static str,
    /// Where `resource!` is.
    position: Position,
    /// The path of a type that is declared in the value of the static.
    inside: fn() -> &'static str,
    /// Calls its constructor.
    pub(super) create: fn() -> Creating,
    /// Its place among all resources of the program.
    index: OnceLock<usize>,
}

/// A resource of the registry.
#[derive(Debug)]
pub struct RegisteredResource(pub &'static ResourceEntry);

inventory::collect!(RegisteredResource);

/// Every resource of the program, by module and position.
static ALL: LazyLock<Vec<&'static ResourceEntry>> = LazyLock::new(|| {
    let mut all: Vec<_> = inventory::iter::<RegisteredResource>.into_iter().map(|one| one.0).collect();
    all.sort_by_key(|entry| (entry.module, entry.position));
    for (index, entry) in all.iter().enumerate() {
        entry.index.set(index).expect("the list is made once");
    }
    all
});

impl ResourceEntry {
    /// `inside` is the path of a type that is declared in the value of the static.
    pub const fn new(
        module: &'static str,
        position: Position,
        inside: fn() -> &'static str,
        create: fn() -> Creating,
    ) -> Self {
        Self { module, position, inside, create, index: OnceLock::new() }
    }

    /// Every resource of the program, in the order in which they are created.
    pub(super) fn all() -> &'static [&'static Self] {
        &ALL
    }

    /// Its place in [`ResourceEntry::all`]; `None` before any app was started.
    pub(super) fn index(&self) -> Option<usize> {
        self.index.get().copied()
    }

    /// The path of its static.
    pub(super) fn path(&self) -> String {
        let inside = (self.inside)();
        // The compiler does not promise how it writes the path of a type.
        let path = match inside.rsplit_once("::") {
            Some((path, _)) if path.starts_with(self.module) && path.len() > self.module.len() => path,
            _ => self.module,
        };
        path.replace("r#", "")
    }

    /// The path of its module.
    pub(super) fn module(&self) -> &'static str {
        self.module
    }

    /// The name of the service that it belongs to.
    pub(super) fn service(&self) -> Option<&'static str> {
        service_of(self.module).map(|service| service.name)
    }

    /// How messages name it: its path and place.
    pub(super) fn shown(&self) -> String {
        format!("`{}` ({})", self.path(), self.position)
    }
}

/// A constructor at work.
pub type Creating = Pin<Box<dyn Future<Output = Result<Made>> + Send>>;

/// A value, for the app that keeps it and for those that read it.
pub struct Made {
    /// What keeps it.
    pub(super) owner: Arc<dyn Any + Send + Sync>,
    /// A `Weak` of its type: reading takes no lock, and finds nothing once the owner is gone.
    pub(super) reader: Box<dyn Any + Send + Sync>,
}

impl Made {
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        let owner = Arc::new(value);
        let reader: Weak<T> = Arc::downgrade(&owner);
        Self { owner, reader: Box::new(reader) }
    }
}

/// What `resource!` takes: an `async fn() -> Result<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot create a resource",
    label = "this is not an async function without parameters that returns a `Result`",
    note = "a constructor is an `async fn() -> Result<T>`: write one, or wrap what there is, as in `bis::resource!(|| async {{ Carrier::connect(\"..\").await }})`"
)]
pub trait Constructor {
    /// What it creates.
    type Value;
    /// What it is while it works.
    type Future: Future<Output = Result<Self::Value>>;

    /// Begins.
    fn begin(self) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<F, R, T, E> Constructor for F
where
    F: FnOnce() -> R,
    R: Future<Output = std::result::Result<T, E>>,
    E: Into<Error>,
{
    type Value = T;
    type Future = IntoOurs<R>;

    fn begin(self) -> IntoOurs<R> {
        IntoOurs(Box::pin(self()))
    }
}

/// A future whose error becomes ours.
pub struct IntoOurs<R>(Pin<Box<R>>);

impl<R, T, E> Future for IntoOurs<R>
where
    R: Future<Output = std::result::Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        self.0.as_mut().poll(context).map_err(Into::into)
    }
}

/// A constructor of a `T` whose bounds have been checked: what is wrong with it is reported in one place.
pub struct Checked<C, T> {
    constructor: C,
    create: fn(C) -> Creating,
    creates: PhantomData<fn() -> T>,
}

/// Checks that it is a constructor.
pub const fn made_by<C, T>(constructor: C) -> Checked<C, T>
where
    C: Constructor<Value = T, Future: Send> + Send + 'static,
    T: Send + Sync + 'static,
{
    Checked { constructor, create: begin::<C>, creates: PhantomData }
}

fn begin<C>(constructor: C) -> Creating
where
    C: Constructor<Value: Send + Sync + 'static, Future: Send> + Send + 'static,
{
    // Whatever it does, the call included, is done when it is polled, where its panics are caught.
    Box::pin(async move { Ok(Made::new(constructor.begin().await?)) })
}

/// Calls a constructor.
pub fn create<C, T>(constructor: Checked<C, T>) -> Creating {
    (constructor.create)(constructor.constructor)
}

/// The static of what the constructor creates.
pub const fn resource<C, T>(entry: &'static ResourceEntry, constructor: Checked<C, T>) -> Resource<T> {
    std::mem::forget(constructor);
    Resource::registered(entry)
}
