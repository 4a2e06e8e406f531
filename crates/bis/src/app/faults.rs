//! The seeded faults that `BIS_CHAOS` requests for a running app. Builds with the feature `testing` have them; any other refuses
//! to start, so that nobody believes that it was tested with faults.

use std::sync::Arc;

use bis_broker::Broker;

#[cfg(feature = "testing")]
use crate::testing::chaos::{self, ChaosBroker};

use crate::error::Result;

/// Faults between the app and its broker, if they were asked for.
#[cfg(feature = "testing")]
pub(super) struct Faults(Option<Arc<ChaosBroker>>);

/// A build that has no faults.
#[cfg(not(feature = "testing"))]
pub(super) struct Faults;

#[cfg(feature = "testing")]
impl Faults {
    /// Puts the faults that `BIS_CHAOS` requests in front of the broker.
    pub(super) fn before(broker: Arc<dyn Broker>) -> Result<(Arc<dyn Broker>, Self)> {
        let Some(settings) = chaos::from_env()? else { return Ok((broker, Self(None))) };
        tracing::warn!(seed = settings.seed(), %settings, "faults are injected, as `BIS_CHAOS` asks for");
        let chaos = Arc::new(ChaosBroker::new(broker, settings));
        Ok((chaos.clone(), Self(Some(chaos))))
    }

    /// Logs what was injected.
    pub(super) fn tell(&self) {
        if let Some(chaos) = &self.0 {
            tracing::info!(faults = %chaos.faults(), "chaos ends");
        }
    }
}

#[cfg(not(feature = "testing"))]
impl Faults {
    /// Refuses to start when `BIS_CHAOS` asks for faults.
    pub(super) fn before(broker: Arc<dyn Broker>) -> Result<(Arc<dyn Broker>, Self)> {
        if std::env::var_os("BIS_CHAOS").is_some_and(|value| !value.is_empty()) {
            return Err(crate::error::Error::msg(format!(
                "`BIS_CHAOS` asks for faults, and this build has none: start it with `bis run --chaos SEED`, build it with `cargo build --features bis/testing`, or unset `BIS_CHAOS` [{}]",
                bis_core::codes::CHAOS
            )));
        }
        Ok((broker, Self))
    }

    #[expect(clippy::unused_self, reason = "the other build has something to tell")]
    pub(super) fn tell(&self) {}
}
