//! What a subsystem knows of its declarations. Code that checks or describes an app asks each by this trait, and
//! knows no registry entry.

use bis_config::Config;
use bis_core::prometheus::Page;
use serde_json::Value;

use super::{Instance, Services};
use crate::error::Result;

/// A subsystem of the SDK, such as events or HTTP.
pub(crate) trait Subsystem: Sync {
    /// The functions of the app's services that it calls.
    fn callers(&self, services: &Services) -> Vec<Caller>;

    /// Whether what was declared can live in one app and fits its configuration. `bis check` finds most of it in the source; a
    /// plain `cargo run` finds it here, before anything is opened.
    ///
    /// # Errors
    /// Says what does not fit, where it is declared, and what to change.
    fn check(&self, declared: &Declarations<'_>) -> Result<()>;

    /// What is linked, for tools to compare with what they read in the source. Sorted.
    fn describe(&self, services: &Services) -> Vec<Section>;

    /// Writes what was counted and timed of it in this app.
    fn measure(&self, instance: &Instance, page: &mut Page);
}

/// Everything that a check may look at.
#[derive(Debug)]
pub(crate) struct Declarations<'a> {
    /// The services of the app.
    pub(crate) services: &'a Services,
    /// The configuration of this process.
    pub(crate) config: &'a Config,
    /// What every subsystem calls.
    pub(crate) callers: &'a [Caller],
}

/// A function that a subsystem calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The path of its module, its crate first.
    pub(crate) module: &'static str,
    /// Its name.
    pub(crate) function: &'static str,
    /// The service that it belongs to.
    pub(crate) service: &'static str,
    /// The paths that it calls itself, as it writes them.
    pub(crate) calls: &'static [&'static str],
}

/// A list in an app's description.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is in it: the fields of each item, in the order in which they are written.
    pub(crate) items: Vec<Vec<(&'static str, Value)>>,
}
