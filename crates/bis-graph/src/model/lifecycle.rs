//! Functions that an app calls by itself, with what each uses.

use bis_core::{ResourceKind, RestartPolicy};
use serde::{Deserialize, Serialize};

use super::millis;
use crate::Position;

/// A function that runs when the app starts or stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The service that hosts it.
    pub service: String,
    /// When it runs.
    pub role: HookRole,
    /// The path of the function.
    pub handler: String,
    /// The comment above it, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The resources that it uses itself, in the order of the source.
    pub uses: Vec<FunctionUse>,
    /// The endpoints of other services that it calls itself, in the order of the source.
    pub calls: Vec<FunctionCall>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the function's name is.
    pub position: Position,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookRole {
    /// Before the app is ready.
    OnStart,
    /// When the app stops.
    OnStop,
}

impl HookRole {
    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnStart => "on_start",
            Self::OnStop => "on_stop",
        }
    }
}

/// A function that runs while the app is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Background {
    /// The service that hosts it.
    pub service: String,
    /// The path of the function.
    pub handler: String,
    /// The comment above it, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// When it runs again after it has ended.
    pub restart: Restart,
    /// The resources that it uses itself, in the order of the source.
    pub uses: Vec<FunctionUse>,
    /// The endpoints of other services that it calls itself, in the order of the source.
    pub calls: Vec<FunctionCall>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the function's name is.
    pub position: Position,
}

/// A background function's restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The wait after the first end, in milliseconds.
    pub min_backoff_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_backoff_ms: u64,
}

impl From<RestartPolicy> for Restart {
    fn from(policy: RestartPolicy) -> Self {
        Self { min_backoff_ms: millis(policy.min_backoff), max_backoff_ms: millis(policy.max_backoff) }
    }
}

/// A function uses a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUse {
    /// The resource's kind.
    pub kind: ResourceKind,
    /// The resource's name.
    pub resource: String,
    /// The method that is called on it; `None` where it is passed on.
    pub method: Option<String>,
}

/// A function calls an endpoint of another service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// The service that is called.
    pub service: String,
    /// The name of the endpoint's function.
    pub endpoint: String,
}
