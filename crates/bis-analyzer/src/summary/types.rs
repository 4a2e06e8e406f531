//! What is kept of types: what serde, `#[derive(Event)]` and validating libraries make of them.

use bis_graph::Diagnostic;

use super::{Name, Range, Ty};

#[derive(Debug)]
pub(crate) struct AliasItem {
    pub(crate) name: Name,
    pub(crate) generics: Vec<Name>,
    pub(crate) ty: Ty,
}

/// A struct, enum or other named type.
#[derive(Debug)]
pub(crate) struct TypeItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    pub(crate) generics: Vec<Name>,
    /// What is kept of a type with serde's derives or `Event`.
    pub(crate) serde: Option<Box<SerdeType>>,
}

#[derive(Debug)]
pub(crate) struct SerdeType {
    /// Which of `Serialize` and `Deserialize` are derived.
    pub(crate) derived: Sided<bool>,
    pub(crate) docs: Docs,
    pub(crate) shape: TypeShape,
    pub(crate) container: Container,
    pub(crate) event: Option<EventSummary>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(crate) enum TypeShape {
    Struct(Vec<FieldItem>),
    Tuple(Vec<FieldItem>),
    Unit,
    Enum(Vec<VariantItem>),
}

/// What may differ between what is written and what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sided<T> {
    pub(crate) written: T,
    pub(crate) read: T,
}

impl Sided<Option<String>> {
    pub(crate) fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Takes over the sides that another has.
    pub(crate) fn take(&mut self, other: Self) {
        self.written = other.written.or_else(|| self.written.take());
        self.read = other.read.or_else(|| self.read.take());
    }
}

/// A comment as Markdown.
pub(crate) type Text = Box<str>;

/// The documentation of an item for those who use it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Docs {
    pub(crate) text: Option<Text>,
    /// `#[deprecated]`
    pub(crate) deprecated: bool,
}

/// Serde's attributes of a type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Container {
    pub(crate) rename: Sided<Option<String>>,
    pub(crate) rename_all: Sided<Option<String>>,
    pub(crate) rename_all_fields: Sided<Option<String>>,
    pub(crate) tag: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) untagged: bool,
    pub(crate) transparent: bool,
    pub(crate) default: bool,
    pub(crate) deny_unknown_fields: bool,
    /// `into`, and `from` or `try_from`: the type that is written or read instead.
    pub(crate) proxy: Sided<Option<Ty>>,
}

#[derive(Debug)]
pub(crate) struct FieldItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    pub(crate) ty: Ty,
    pub(crate) docs: Docs,
    pub(crate) rename: Sided<Option<String>>,
    pub(crate) skip: Sided<bool>,
    /// `skip_serializing_if` where it is written, `default` where it is read.
    pub(crate) optional: Sided<bool>,
    pub(crate) flatten: bool,
    /// `with`, `serialize_with`, `deserialize_with`: the function, or module of functions, that decides its form.
    pub(crate) custom: Sided<Option<Text>>,
    /// `#[event(schema = "..")]`
    pub(crate) schema: Option<(String, Range)>,
    /// `#[event(sensitive)]`
    pub(crate) sensitive: bool,
    pub(crate) constraints: Option<Box<Constraints>>,
}

/// What a validating library checks of a value, as far as JSON Schema can express it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Constraints {
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) minimum: Option<serde_json::Number>,
    pub(crate) maximum: Option<serde_json::Number>,
    pub(crate) exclusive_minimum: Option<serde_json::Number>,
    pub(crate) exclusive_maximum: Option<serde_json::Number>,
    pub(crate) pattern: Option<String>,
    pub(crate) format: Option<&'static str>,
    /// Of each item, or of what is in an option.
    pub(crate) inner: Option<Box<Constraints>>,
}

#[derive(Debug)]
pub(crate) struct VariantItem {
    pub(crate) name: Name,
    pub(crate) docs: Docs,
    pub(crate) rename: Sided<Option<String>>,
    pub(crate) rename_all: Sided<Option<String>>,
    pub(crate) skip: Sided<bool>,
    pub(crate) untagged: bool,
    /// `#[serde(other)]`: what no other variant takes.
    pub(crate) other: bool,
    pub(crate) shape: TypeShape,
}

/// What `#[derive(Event)]` says.
#[derive(Debug)]
pub(crate) struct EventSummary {
    pub(crate) key: Option<String>,
    pub(crate) attributes: Vec<String>,
    pub(crate) sensitive: Vec<String>,
    pub(crate) identity: bool,
    pub(crate) schema: Option<(String, Range)>,
}
