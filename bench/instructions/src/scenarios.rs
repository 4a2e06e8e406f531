//! What is counted. A scenario does the same thing so many times in a process of its own.

mod analysis;
mod decode;
mod in_process;
mod router;
mod settle;

use anyhow::Result;

/// One of the things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Published, delivered to its handler and acknowledged, in one process.
    InProcess,
    /// Published, answered, delivered and finished by the router; with the client, which is small.
    Router,
    /// Taken from the in-process broker and acknowledged, without the runtime.
    Settle,
    /// An envelope read from JSON.
    Decode,
    /// 1,000 lines of an app, read into the graph.
    Analysis,
}

impl Scenario {
    pub const ALL: [Self; 5] = [Self::InProcess, Self::Router, Self::Settle, Self::Decode, Self::Analysis];

    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Router => "router",
            Self::Settle => "settle",
            Self::Decode => "decode",
            Self::Analysis => "analysis",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// How often it is done in the two runs.
    pub fn counts(self) -> [usize; 2] {
        match self {
            Self::InProcess | Self::Settle | Self::Decode => [1_000, 5_000],
            Self::Router => [500, 2_500],
            Self::Analysis => [4, 12],
        }
    }

    /// How many units of what is reported `count` are.
    pub fn units(self, count: usize) -> f64 {
        match self {
            Self::Analysis => analysis::lines(count) as f64 / 1_000.0,
            _ => count as f64,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// When the thing itself fails.
    pub fn run(self, count: usize) -> Result<()> {
        match self {
            Self::InProcess => in_process::run(count),
            Self::Router => router::run(count),
            Self::Settle => settle::run(count),
            Self::Decode => decode::run(count),
            Self::Analysis => analysis::run(count),
        }
    }
}
