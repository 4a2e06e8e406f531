//! Rust source to application graph and diagnostics, without rustc and without cargo.
//!
//! [`analyze`] reads a package or workspace once; [`Workspace`] keeps what it extracted and reads only what changed.
//!
//! ```no_run
//! let analysis = bis_analyzer::analyze(std::path::Path::new("."), &bis_analyzer::Options::default());
//! for diagnostic in &analysis.diagnostics {
//!     print!("{}", bis_graph::render(diagnostic, &analysis.sources, bis_graph::Colour::Never));
//! }
//! println!("{}", bis_graph::json::graph(&analysis.graph));
//! ```
//!
//! How: manifests give packages and features (`manifest`, `project`); files are parsed in parallel and each is
//! boiled down to a summary without syntax trees (`extract`); the summaries form a module tree (`tree`) on which paths
//! are resolved (`resolve`); what the services declare and use becomes the graph (`assemble`), its types JSON Schema
//! (`schema`). Nothing here runs a program, writes a file, or changes what it reads.

mod allow;
mod assemble;
mod cfg;
mod constant;
mod extract;
mod findings;
mod load;
mod manifest;
mod nesting;
mod project;
mod resolve;
mod rustflags;
mod schema;
mod sensitive;
mod serde_attrs;
mod source;
mod summary;
mod targets;
mod tree;
mod workspace;

use std::path::{Path, PathBuf};

use bis_core::BrokerKind;
use bis_graph::{Diagnostic, Graph, Sources};

pub use workspace::Workspace;

/// What to analyse, beside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Features of the app's package to enable, beside the default ones.
    pub features: Vec<String>,
    /// Whether to leave the package's default features out.
    pub no_default_features: bool,
    /// Whether to enable every feature of the package.
    pub all_features: bool,
    /// The binary that is to run, when the package has several: `--bin`.
    pub bin: Option<String>,
    /// What the build is for. `None` is this machine, as far as it was known when this program was compiled.
    pub target: Option<Target>,
    /// The broker that is to carry the events: what it cannot do is reported too. `None` reports nothing about brokers.
    pub broker: Option<BrokerKind>,
}

/// The platform of a build, as rustc gives it. The analyser runs no rustc itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Its name, such as `x86_64-unknown-linux-gnu`.
    pub triple: Option<String>,
    /// The lines of `rustc --print cfg`.
    pub cfg: Vec<String>,
}

/// The outcome of an analysis: always a graph, as far as the source could be understood.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The graph. With errors among the diagnostics it may lack parts.
    pub graph: Graph,
    /// Everything that was found, of the analyser and of the graph's rules, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts of the files that diagnostics point at, for [`bis_graph::render()`].
    pub sources: Sources,
    /// The folder of the app's package; the analysed folder when no app was found.
    pub package_dir: PathBuf,
    /// The name of the app's package, when there is one.
    pub package: Option<String>,
    /// The binaries of the app's package, as cargo names them.
    pub binaries: Vec<String>,
    /// The binary that runs the app: the one that [`Options::bin`] or `default-run` names, or the only one. `None` when
    /// cargo could not tell either.
    pub binary: Option<String>,
    /// Every file that was read, manifests included, as absolute paths, sorted: what a watcher should watch.
    pub files: Vec<PathBuf>,
    allowed: allow::Allowed,
}

impl Analysis {
    /// What differs between the graph and what the built program says of itself under `BIS_DESCRIBE=1`, less what is
    /// allowed.
    pub fn compare(&self, description: &serde_json::Value) -> Vec<Diagnostic> {
        let mut found = bis_graph::compare(&self.graph, description);
        found.retain(|diagnostic| !self.allowed.lets_pass(diagnostic));
        found
    }

    /// Whether any diagnostic is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Analyses the package or workspace in `dir` or the nearest folder above it with a `Cargo.toml`.
///
/// Never fails as a whole: what cannot be read is a diagnostic.
pub fn analyze(dir: &Path, options: &Options) -> Analysis {
    Workspace::open(dir, options.clone()).analyze()
}
