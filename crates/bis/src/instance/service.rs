//! The services that a program registers, those that an app lists, and which of them an item belongs to.

use std::collections::HashMap;

use bis_config::AppConfig;
use bis_core::{ServiceName, codes};

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

/// The crate of a module.
fn crate_of(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// Whether `module` is `ancestor` or lies under it.
fn is_within(module: &str, ancestor: &str) -> bool {
    module.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Services of one app: all that it lists, or those of them that a process hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    listed: Vec<&'static ServiceEntry>,
    /// The path of the module that lists them with `app!`.
    home: &'static str,
}

/// Why an app's services cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// There is nothing to run.
    #[error(
        "the app has no service: list its modules, as in `bis::app!(services: [orders])` [{}]",
        codes::NO_SERVICE
    )]
    None,
    /// The configuration names a service that the app does not list.
    #[error(
        "`app.services` names `{name}`, which this app does not have; it has {known} [{}]",
        codes::UNKNOWN_SERVICE
    )]
    Unknown {
        /// The name.
        name: ServiceName,
        /// Those that there are.
        known: String,
    },
    /// Two services have one name.
    #[error(
        "the service `{name}` is declared twice, at {first} and at {second}; give one of them another name [{}]",
        codes::SAME_SERVICE
    )]
    Same {
        /// The name.
        name: &'static str,
        /// The one.
        first: Position,
        /// The other.
        second: Position,
    },
}

impl Services {
    /// Those that the module `home` lists.
    pub(crate) fn new(home: &'static str, listed: &[&'static ServiceEntry]) -> Self {
        Self { listed: listed.to_vec(), home }
    }

    /// In the order of the list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static ServiceEntry> {
        self.listed.iter().copied()
    }

    /// Whether a service of this name is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.listed.iter().any(|service| service.name == name)
    }

    /// The one of them that an item in `module` belongs to.
    pub(crate) fn of(&self, module: &str) -> Option<&'static ServiceEntry> {
        let service = service_of(module)?;
        self.iter().find(|listed| listed.module == service.module)
    }

    /// Whether an item in `module` is the app's: in one of its services, or outside every service in one of its crates, which are
    /// the one that calls `app!` and those of its services.
    pub(crate) fn own(&self, module: &str) -> bool {
        if service_of(module).is_some() {
            return self.of(module).is_some();
        }
        let krate = crate_of(module);
        krate == crate_of(self.home) || self.iter().any(|service| crate_of(service.module) == krate)
    }

    /// Their names, for an error.
    pub(crate) fn names(&self) -> String {
        self.listed.iter().map(|service| format!("`{}`", service.name)).collect::<Vec<_>>().join(", ")
    }

    /// Those of a process: the ones that its configuration names, or all.
    pub(crate) fn hosted(&self, config: &AppConfig) -> Result<Self, ServiceError> {
        if self.listed.is_empty() {
            return Err(ServiceError::None);
        }
        let Some(names) = &config.services else { return Ok(self.clone()) };
        let find = |name: &ServiceName| {
            let service = self.iter().find(|service| service.name == name.as_str());
            service.ok_or_else(|| ServiceError::Unknown { name: name.clone(), known: self.names() })
        };
        let listed = names.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { listed, home: self.home })
    }

    /// Refuses two services of one name.
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        let mut by_name: HashMap<&str, &ServiceEntry> = HashMap::new();
        for service in self.iter() {
            // One that is listed twice is the same one.
            if let Some(first) = by_name.insert(service.name, service)
                && first.module != service.module
            {
                let (first, second) = (first.position, service.position);
                return Err(ServiceError::Same { name: service.name, first, second });
            }
        }
        Ok(())
    }
}
