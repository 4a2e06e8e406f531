//! The running app that statics belong to: one for each tokio runtime. It ties together the app's services, its clock and
//! what its subsystems keep, and knows none of the subsystems.

mod clock;
mod current;
mod extensions;
mod identity;
mod part;
pub mod place;
mod scope;
mod service;
mod stopping;
mod subsystem;
mod task;
pub(crate) mod threads;

use std::{
    any::{Any, type_name},
    fmt,
};

use bis_config::Config;
use bis_core::ShortText;

pub(crate) use clock::{Activity, Clock, Purpose};
#[cfg(feature = "testing")]
pub(crate) use clock::{Outstanding, Patience, Step, VirtualClock};

pub use current::NoApp;
#[cfg(feature = "testing")]
pub(crate) use current::Registered;
pub(crate) use current::{PerRuntime, Reach, current, register};
pub(crate) use extensions::Extensions;
pub use identity::{AnyIdentity, Identity, UserType};
pub(crate) use identity::{IdentityError, Users};
pub(crate) use part::{Host, Part, Stop};
pub(crate) use scope::{Scope, Span};
pub use service::{Position, ServiceEntry};
pub(crate) use service::{Services, function_path, service_of};
pub(crate) use stopping::Stopping;
pub use stopping::stopping;
pub(crate) use subsystem::{Caller, Declarations, Section, Subsystem};
pub use task::spawn;

/// One running app.
pub(crate) struct Instance {
    /// What was configured.
    pub(crate) config: Config,
    /// The app's time.
    pub(crate) clock: Clock,
    /// Whether it stops.
    pub(crate) stopping: Stopping,
    /// What the subsystems keep for it.
    extensions: Extensions,
    /// The source of events that no service's handler publishes: `/app`.
    source: String,
}

impl Instance {
    pub(crate) fn new(app: &str, config: Config, clock: Clock, extensions: Extensions) -> Self {
        Self { config, clock, stopping: Stopping::default(), extensions, source: format!("/{app}") }
    }

    /// What a subsystem keeps for this app.
    ///
    /// # Panics
    /// When the app was started without it.
    pub(crate) fn extension<T: Any>(&self) -> &T {
        let extension = self.extensions.get();
        extension.unwrap_or_else(|| panic!("the app was started without its `{}`", type_name::<T>()))
    }

    /// Where an event comes from: `/app/service`, or `/app` outside every service.
    pub(crate) fn source_of(&self, service: Option<&str>) -> ShortText {
        match service {
            None => ShortText::from(&self.source),
            Some(service) => ShortText::concat([&self.source, "/", service]),
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("source", &self.source).finish_non_exhaustive()
    }
}
