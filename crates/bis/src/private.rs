//! What expansions of the macros name, as `bis::__private`. No person names it; it changes without notice.

pub use bis_core::{Attributes, RetryPolicy};
pub use inventory;
pub use serde::{Serialize, de::DeserializeOwned};

pub use crate::{
    event::{NotScalar, reach, scalar, shape},
    http::{
        EndpointContext, call_elsewhere, from_parts, from_request, mounted, probe, respond, route, split,
        unnamed_result,
    },
    registry::{
        Access, EndpointEntry, MountEntry, Position, ServiceEntry, SubscriptionEntry, batch, one, place,
        takes, takes_batch, topic,
    },
    testing::{PATIENCE, TestChaos, TestOutcome, run_chaos_test, run_test},
};

/// The app that `app!` makes.
pub fn app(name: &'static str, services: &[&'static ServiceEntry]) -> crate::App {
    crate::App::new(name, services)
}
