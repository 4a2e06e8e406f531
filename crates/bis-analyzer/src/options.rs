//! What an analysis is asked for: features, binary, platform and broker. Nothing here reads anything.

use bis_core::BrokerKind;

/// What to analyse, beside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Features of the app's package to enable, beside the default ones.
    pub features: Vec<String>,
    /// Whether to leave the package's default features out.
    pub no_default_features: bool,
    /// Whether to enable every feature of the package.
    pub all_features: bool,
    /// The binary to run, when the package has several: `--bin`.
    pub bin: Option<String>,
    /// What the build is for. `None` is this machine, as far as it was known when this program was compiled.
    pub target: Option<Target>,
    /// The broker that carries the events: what it cannot do is reported too. `None` reports nothing about brokers.
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
