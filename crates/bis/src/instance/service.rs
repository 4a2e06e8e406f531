//! The services that a program registers, and which of them an item belongs to: what every registry entry says of its place.

/// Where something is written: what `file!`, `line!` and `column!` say there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The path as the compiler was given it.
    pub file: &'static str,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A service, as `service!` declares it.
#[derive(Debug)]
pub struct ServiceEntry {
    /// Its name, kebab-case.
    pub name: &'static str,
    /// The path of the module that holds the declaration, its crate first.
    pub module: &'static str,
    /// Where.
    pub position: Position,
}

inventory::collect!(ServiceEntry);

/// The path of a function as people write it and as it travels: a raw identifier such as `r#try` is its plain word.
pub(crate) fn function_path(module: &str, function: &str) -> String {
    format!("{module}::{function}").replace("r#", "")
}

/// The service that an item in `module` belongs to: the one whose module is the longest prefix of it.
pub(crate) fn service_of(module: &str) -> Option<&'static ServiceEntry> {
    inventory::iter::<ServiceEntry>
        .into_iter()
        .filter(|service| is_within(module, service.module))
        .max_by_key(|service| service.module.len())
}

/// Whether `module` is `ancestor` or lies under it.
fn is_within(module: &str, ancestor: &str) -> bool {
    module.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
