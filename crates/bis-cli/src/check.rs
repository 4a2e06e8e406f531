//! Reading an app's source with the analyser, and how its diagnostics look on this terminal.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anstream::ColorChoice;
use anyhow::Result;
use bis_analyzer::{Analysis, Options, Workspace};
use bis_core::BrokerKind;
use bis_graph::{Colour, Severity};

use crate::arguments::Features;
use crate::exit;
use crate::failure::Failure;
use crate::print::plural;
use crate::rustc;

/// What the analyser found.
#[derive(Debug)]
pub(crate) struct Checked {
    analysis: Analysis,
}

impl Checked {
    /// All diagnostics.
    pub(crate) fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// The diagnostics formatted for stderr; empty when there are none.
    pub(crate) fn text(&self) -> String {
        bis_graph::render::render_all(&self.analysis.diagnostics, &self.analysis.sources, colour())
    }

    /// What only the graph or only the program has, formatted for stderr; empty when they are equal.
    pub(crate) fn differences(&self, description: &serde_json::Value) -> String {
        let found = self.analysis.compare(description);
        bis_graph::render::render_all(&found, &self.analysis.sources, colour())
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// `2 errors, 1 warning`, or nothing when there are none.
    pub(crate) fn summary(&self) -> Option<String> {
        let counted =
            |count: usize, noun: &str| (count > 0).then(|| format!("{count} {}", plural(count, noun)));
        let parts: Vec<String> =
            counted(self.errors(), "error").into_iter().chain(counted(self.warnings(), "warning")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn count(&self, severity: Severity) -> usize {
        self.analysis.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

fn colour() -> Colour {
    match anstream::AutoStream::choice(&std::io::stderr()) {
        ColorChoice::Never => Colour::Never,
        _ => Colour::Always,
    }
}

/// What to read with these features, on this broker.
pub(crate) fn options(features: &Features, broker: Option<BrokerKind>) -> Options {
    let Features { features, no_default_features, all_features } = features.clone();
    Options { features, no_default_features, all_features, broker, ..Options::default() }
}

/// Reads the package in `folder`, or in the nearest folder above it.
pub(crate) fn check(folder: &Path, options: &Options) -> Result<Checked> {
    Checker::new(folder).check(options)
}

/// Reads one app repeatedly; unchanged files are not read again.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    folder: PathBuf,
    workspace: Arc<Mutex<Workspace>>,
}

impl Checker {
    /// A reader that has read nothing yet.
    pub(crate) fn new(folder: &Path) -> Self {
        let workspace = Workspace::open(folder, Options::default());
        Self { folder: folder.to_owned(), workspace: Arc::new(Mutex::new(workspace)) }
    }

    /// Reads the current sources.
    pub(crate) fn check(&self, options: &Options) -> Result<Checked> {
        let options = self.options(options)?;
        let mut workspace = self.workspace.lock().unwrap_or_else(|poisoned| {
            // A panic may have left inconsistent state behind.
            self.workspace.clear_poison();
            let mut workspace = poisoned.into_inner();
            *workspace = Workspace::open(&self.folder, Options::default());
            workspace
        });
        workspace.set_options(options);
        Ok(Checked { analysis: workspace.analyze() })
    }

    fn options(&self, options: &Options) -> Result<Options> {
        let folder = &self.folder;
        if !folder.is_dir() {
            return Err(Failure::new(exit::NOT_FOUND, format!("there is no folder `{}`", folder.display()))
                .help("give the folder of an app, or make one with `bis new NAME`")
                .into());
        }
        Ok(Options { target: rustc::target(folder), ..options.clone() })
    }
}
