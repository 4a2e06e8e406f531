//! What an endpoint takes and answers with, in the words of OpenAPI 3.1. Schemas may refer to [`Graph::schemas`].
//!
//! [`Graph::schemas`]: crate::Graph::schemas

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A parameter of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it is in a request.
    #[serde(rename = "in")]
    pub place: ParameterPlace,
    /// Whether a request must have it.
    pub required: bool,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// Whether it is marked as `#[deprecated]`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deprecated: bool,
    /// The JSON Schema of its value. In a path, query or header a value is text, of which the schema says how it is read. An
    /// object in the query is one parameter for each of its fields.
    pub schema: Value,
}

/// Where a parameter is in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterPlace {
    /// In the path, as `{name}`.
    Path,
    /// After the `?`.
    Query,
    /// A header.
    Header,
}

/// The body that an endpoint takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestBody {
    /// Whether a request must have one.
    pub required: bool,
    /// Its media type, such as `application/json`; `*/*` when it may be anything.
    pub content_type: String,
    /// Its JSON Schema; `None` for bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<Value>,
}

/// An answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Its status; `None` when the source does not tell.
    pub status: Option<u16>,
    /// The media type of its body, such as `application/json`; `*/*` when it may be anything, `None` without a body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_type: Option<String>,
    /// The JSON Schema of its body; `None` for bytes, streams and what cannot be seen from the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<Value>,
}
