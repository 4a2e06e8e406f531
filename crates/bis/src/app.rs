//! An app: the services that `app!` lists, with everything that they registered, and its life as a process. What runs
//! inside is a list of parts, started here and stopped here in order; nothing here handles an event or a request.

pub(crate) mod describe;
mod faults;
mod monitoring;
mod parts;
mod process;
mod progress;
mod ready;
mod running;
#[cfg(feature = "testing")]
mod test_run;

use std::{fmt, process::ExitCode};

use bis_core::handover;

use crate::{
    http::MakeLayers,
    instance::{ServiceEntry, Services},
};

#[cfg(feature = "testing")]
pub use test_run::{
    PATIENCE, TestAppBuilder, TestChaos, TestOutcome, run_chaos_test, run_chaos_test_with,
    run_own_chaos_test, run_own_test, run_test, run_test_with,
};

/// The services that one `app!` lists. Made by the function that `app!` makes.
#[derive(Clone)]
pub struct App {
    name: &'static str,
    services: Services,
    /// The layers around everything on the public listener.
    layers: MakeLayers,
}

impl App {
    /// The app with these services, which the module `home` lists, and these layers around them.
    pub(crate) fn new(
        name: &'static str,
        home: &'static str,
        services: &[&'static ServiceEntry],
        layers: MakeLayers,
    ) -> Self {
        Self { name, services: Services::new(home, services), layers }
    }

    /// The app's name: that of its package.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the app until SIGTERM or SIGINT, and returns the process's exit code: 0 after a stop in order, 1 when the app
    /// could not start or broke, 130 at once after a second signal.
    ///
    /// Reads the configuration that `BIS_CONFIG` names; without one, events go through memory and the HTTP endpoints listen
    /// on `127.0.0.1:4000`. Logs go to stderr, filtered by `BIS_LOG`, else `RUST_LOG`, else `info`. With `BIS_DESCRIBE=1` it
    /// prints what is linked as JSON and starts nothing.
    ///
    /// It makes the tokio runtime itself, so `main` is an ordinary function, without `#[tokio::main]`.
    ///
    /// On a signal no more deliveries and requests are taken; handlers and requests have `app.stop_within` (30 s) to finish;
    /// then everything settled is flushed to the broker.
    #[must_use = "return it from `main`: `fn main() -> std::process::ExitCode { shop::app().main() }`"]
    pub fn main(self) -> ExitCode {
        if std::env::var_os(handover::DESCRIBE).is_some_and(|value| value == "1") {
            return describe::print(&self);
        }
        process::run(&self)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|service| service.name).collect();
        f.debug_struct("App").field("name", &self.name).field("services", &services).finish()
    }
}
