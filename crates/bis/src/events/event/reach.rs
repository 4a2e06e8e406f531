//! What is sensitive in an event's type and in the types that its fields hold, at every depth. Each type that derives `Event`
//! is asked; of any other type nothing is known but that it may hold what is sensitive elsewhere in the program.

use std::{any::TypeId, collections::HashMap, marker::PhantomData};

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
#[derive(Debug, Default)]
pub struct Reach {
    found: Sensitive,
    /// The types that were asked, and whether each is sensitive as a whole: it has no name for what is sensitive in it.
    asked: HashMap<TypeId, bool>,
    /// Whether the type that is asked now is sensitive as a whole.
    whole: bool,
}

/// Everything that is sensitive in events of one type.
pub(crate) fn sensitive_of<T: Event>() -> Sensitive {
    let mut reach = Reach::default();
    if reach.ask::<T>() {
        return Sensitive::whole();
    }
    reach.found
}

impl Reach {
    /// Collects what is sensitive in a type; says whether that is the whole.
    fn ask<T: Event>(&mut self) -> bool {
        let id = TypeId::of::<T>();
        if let Some(whole) = self.asked.get(&id) {
            return *whole;
        }
        let own = T::SENSITIVE.iter().any(|name| name.parse::<usize>().is_ok());
        // A type that holds itself finds what is known of it so far.
        self.asked.insert(id, own);
        let named = T::SENSITIVE.iter().filter(|name| name.parse::<usize>().is_err());
        named.for_each(|name| self.found.add(name));
        let outer = std::mem::replace(&mut self.whole, own);
        T::nested_sensitive(self);
        let whole = std::mem::replace(&mut self.whole, outer);
        self.asked.insert(id, whole);
        whole
    }
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
        match (reach.ask::<T>(), name) {
            (false, _) => {}
            (true, Some(name)) => reach.found.add(name),
            (true, None) => reach.whole = true,
        }
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
        everywhere.flat_map(|names| names.0).for_each(|name| reach.found.add(name));
    }
}
