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
mod analysis;
mod assemble;
mod cfg;
mod constant;
mod extract;
mod findings;
mod load;
mod manifest;
mod nesting;
mod options;
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
mod typed;
mod workspace;

use std::path::Path;

pub use analysis::Analysis;
pub use options::{Options, Target};
pub use workspace::Workspace;

/// Analyses the package or workspace in `dir` or the nearest folder above it with a `Cargo.toml`.
///
/// Never fails as a whole: what cannot be read is a diagnostic.
pub fn analyze(dir: &Path, options: &Options) -> Analysis {
    Workspace::open(dir, options.clone()).analyze()
}
