//! Where an item of a service may be written, checked when the app compiles.
//!
//! A macro cannot see what surrounds its item. So its expansion imports a stand-in from here under the item's name, and within
//! that scope everything of the module. Where the module has the item it hides the stand-in; else the stand-in stays visible, and
//! fails one of the bounds below.

use super::service::ServiceEntry;

/// Stands for a function that its module does not have.
pub struct Nested;

/// Marks a function that its module has.
pub trait Place {
    /// Where it is.
    fn __bis_place(&self) -> InModule {
        InModule
    }
}

impl<T> Place for T {}

impl Nested {
    /// Where it is: found before the trait's method.
    pub fn __bis_place(&self) -> Elsewhere {
        Elsewhere
    }
}

/// In a module.
pub struct InModule;

/// In an `impl`, a trait or a function.
pub struct Elsewhere;

/// What a function under an attribute must be.
#[diagnostic::on_unimplemented(
    message = "a function that the app calls must be a free function in a module",
    label = "this function is in an `impl`, a trait or another function",
    note = "move it out, to the level of the module that calls `bis::service!`, or of one under it"
)]
pub trait FreeFunction {}

#[diagnostic::do_not_recommend]
impl FreeFunction for InModule {}

/// Checks where a function is.
pub fn must_be_free(_: impl FreeFunction) {}

/// The stand-in for the marker of a module that is not a service.
pub mod no_service {
    /// Has the name of the markers that `service!` makes.
    pub static __SERVICE_OF_THIS_MODULE: super::NoService = super::NoService;
}

/// A module that is not a service.
pub struct NoService;

/// What `app!` may list.
#[diagnostic::on_unimplemented(
    message = "`bis::app!` lists a module that is not a service",
    label = "this module does not call `bis::service!`",
    note = "write `bis::service!(\"name\");` at the top of the module, or take it off the list: a module below a service belongs to that service"
)]
pub trait Service {
    /// The marker.
    fn entry(&'static self) -> &'static ServiceEntry;
}

#[diagnostic::do_not_recommend]
impl Service for ServiceEntry {
    fn entry(&'static self) -> &'static ServiceEntry {
        self
    }
}

/// The marker of a service.
pub fn service(marker: &'static impl Service) -> &'static ServiceEntry {
    marker.entry()
}
