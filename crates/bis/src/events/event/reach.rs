//! What is sensitive in an event's type and in the types that its fields hold, at every depth. Each type that derives `Event`
//! is asked; any other type is only known to possibly hold what is sensitive elsewhere in the program.

use std::{any::TypeId, marker::PhantomData};

use bis_core::redaction::Sensitive;

use super::Event;

/// The traits without their names, so that an expansion's glob import shadows nothing of the user's.
pub mod methods {
    pub use super::{EventPart as _, OtherPart as _};
}

/// The names of the sensitive fields of one type. The derive lists them.
pub struct SensitiveNames(pub &'static [&'static str]);

inventory::collect!(SensitiveNames);

/// What was found so far.
pub type Reach = bis_core::redaction::Reach<TypeId>;

/// Everything that is sensitive in events of one type.
pub(crate) fn sensitive_of<T: Event>() -> Sensitive {
    let mut reach = Reach::default();
    if ask::<T>(&mut reach) {
        return Sensitive::whole();
    }
    reach.into_sensitive()
}

/// Collects what is sensitive in a type; returns whether that is the whole.
fn ask<T: Event>(reach: &mut Reach) -> bool {
    reach.ask(TypeId::of::<T>(), T::SENSITIVE.iter().copied(), T::nested_sensitive)
}

/// Stands for a type in a field.
pub struct Part<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: ?Sized> Part<T> {
    /// Stands for `T`.
    #[expect(clippy::new_without_default, reason = "only expansions make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A type that can be asked.
pub trait EventPart {
    /// Collects what is sensitive in it. As a whole it is hidden by the name of its field, or hides what it is flattened into.
    fn collect(&self, name: Option<&str>, reach: &mut Reach);
}

impl<T: Event> EventPart for &Part<T> {
    fn collect(&self, name: Option<&str>, reach: &mut Reach) {
        let is_sensitive = ask::<T>(reach);
        reach.add_part(name, is_sensitive);
    }
}

/// Any other type.
pub trait OtherPart {
    /// Takes every name that is sensitive anywhere in the program.
    fn collect(&self, name: Option<&str>, reach: &mut Reach);
}

impl<T: ?Sized> OtherPart for Part<T> {
    fn collect(&self, _: Option<&str>, reach: &mut Reach) {
        let everywhere = inventory::iter::<SensitiveNames>.into_iter();
        reach.add_names(everywhere.flat_map(|names| names.0).copied());
    }
}
