//! How a command prints: for people or for programs.

use clap::ValueEnum;

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: JSON on stdout, everything else on stderr
    Json,
}

/// How `bis graph` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// An overview for people
    Text,
    /// The whole graph, with source positions
    Json,
    /// A flowchart for Mermaid
    Mermaid,
}
