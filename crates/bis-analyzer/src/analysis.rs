//! The outcome of an analysis. It is complete when it is made: nothing here reads a file.

use std::path::PathBuf;

use bis_graph::{Diagnostic, Graph, Sources};

use crate::allow::Allowed;

/// The outcome of an analysis: always a graph, as far as the source could be understood.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The graph. With errors among the diagnostics it may lack parts.
    pub graph: Graph,
    /// Everything that was found, by the analyser and by the graph's rules, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts of the files that were read, for [`bis_graph::render()`].
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
    pub(crate) allowed: Allowed,
}

impl Analysis {
    /// What differs between the graph and the built program's description of itself under `BIS_DESCRIBE=1`, except what
    /// is allowed.
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
