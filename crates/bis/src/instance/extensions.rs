//! What the subsystems keep for one app, a value of each type: the broker, the connections to other processes. It knows none
//! of the types. Values are put in before the app starts and only read from then on, so reading takes no lock; what a
//! subsystem learns later it keeps in a cell of its own value.

use std::any::{Any, TypeId, type_name};

/// At most one value of each type.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    /// One for each subsystem: so few that looking at one after the other is the fastest way to find one.
    held: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
}

impl Extensions {
    /// Adds a value.
    ///
    /// # Panics
    /// When there is one of its type.
    #[must_use]
    pub(crate) fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        assert!(self.get::<T>().is_none(), "an app has one `{}`", type_name::<T>());
        self.held.push((TypeId::of::<T>(), Box::new(value)));
        self
    }

    /// The value of this type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let held = self.held.iter().find(|(id, _)| *id == TypeId::of::<T>());
        held.and_then(|(_, value)| value.downcast_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_value() {
        let extensions = Extensions::default().with(7_u8).with("text");
        assert_eq!(extensions.get::<u8>(), Some(&7));
        assert_eq!(extensions.get::<&str>(), Some(&"text"));
        assert_eq!(extensions.get::<u16>(), None);
    }

    #[test]
    #[should_panic = "an app has one `u8`"]
    fn a_second_value_of_a_type_is_refused() {
        let _ = Extensions::default().with(7_u8).with(8_u8);
    }
}
