//! Resources of any kind: what all of them have, and which services use them. What only one kind has is in the model.

use bis_core::ResourceKind;

use crate::{Graph, Position, State, Topic, Use};

/// What a resource has, whatever its kind.
pub trait Resource {
    /// The kind.
    fn kind(&self) -> ResourceKind;
    /// Its name, which no other of the kind has.
    fn name(&self) -> &str;
    /// The service whose module holds the static; `None` for a shared crate or module.
    fn service(&self) -> Option<&str>;
    /// The path of its static.
    fn static_path(&self) -> &str;
    /// The `cfg` around it, when only the build knows whether it holds.
    fn condition(&self) -> Option<&str>;
    /// Where the static is.
    fn position(&self) -> &Position;
}

macro_rules! resources {
    ($($Type:ident in $list:ident: $Kind:ident;)*) => {
        $(impl Resource for $Type {
            fn kind(&self) -> ResourceKind {
                ResourceKind::$Kind
            }

            fn name(&self) -> &str {
                &self.name
            }

            fn service(&self) -> Option<&str> {
                self.service.as_deref()
            }

            fn static_path(&self) -> &str {
                &self.static_path
            }

            fn condition(&self) -> Option<&str> {
                self.condition.as_deref()
            }

            fn position(&self) -> &Position {
                &self.position
            }
        })*

        impl Graph {
            /// The resources, kind by kind, each by name.
            pub fn resources(&self) -> impl Iterator<Item = &dyn Resource> {
                std::iter::empty()$(.chain(self.$list.iter().map(|one| one as &dyn Resource)))*
            }
        }
    };
}

resources! {
    Topic in topics: Topic;
    State in state: State;
}

impl Graph {
    /// How services use a resource, by service and method.
    pub fn uses_of<'a>(&'a self, kind: ResourceKind, name: &'a str) -> impl Iterator<Item = &'a Use> {
        self.uses.iter().filter(move |one| one.kind == kind && one.resource == name)
    }
}

/// `orders::PLACED` of `shop::orders::PLACED`.
pub(crate) fn last_two(path: &str) -> &str {
    match path.rmatch_indices("::").nth(1) {
        Some((index, _)) => &path[index + 2..],
        None => path,
    }
}
