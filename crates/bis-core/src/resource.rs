//! The kinds of resources: what a static of an app can declare for its services to use. The grammar defines how
//! each is written, the SDK what it is at run time.
//!
//! A new kind begins with a variant here; the compiler then asks for its row in `bis-syntax` (`resource.rs`), its entry and shape in
//! `bis-graph` (`model.rs`, `resource.rs`, `mermaid.rs`), and how the one becomes the other in `bis-analyzer`
//! (`assemble/resources.rs`, with a file beside it for what only this kind has). Finding it, its name, options, uses and doubles
//! exist already.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::name_error;

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A topic.
    Topic,
    /// A `Resource<T>`: a value that the app creates when it starts.
    #[serde(rename = "resource")]
    State,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Topic, Self::State];

    /// The word for one of the kind, in messages and in the graph.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::State => "resource",
        }
    }

    /// Why a resource of the kind cannot have this name, or `None` when it can.
    pub const fn name_error(self, name: &str) -> Option<&'static str> {
        match self {
            Self::Topic => name_error(name),
            // Its name is the path of its static.
            Self::State => None,
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
