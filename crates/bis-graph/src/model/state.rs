//! Resources of the type `Resource<T>`: values that an app creates when it starts, and who uses them.

use serde::{Deserialize, Serialize};

use crate::Position;

/// A `Resource<T>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its name: the path of its static, as the running app names it.
    pub name: String,
    /// The name of its value's type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The path of that type; empty when the type's own source could not be found.
    pub type_path: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The services that use it, by name.
    pub users: Vec<String>,
    /// The service whose module holds the static, and with which it is created; `None` for a shared crate or module.
    pub service: Option<String>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// The path of its static.
    #[serde(rename = "static")]
    pub static_path: String,
    /// Where the static is.
    pub position: Position,
}
