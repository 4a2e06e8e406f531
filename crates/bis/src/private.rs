//! What expansions of the macros name, as `bis::__private`. No user code names it; it changes without notice.

pub use bis_core::{Attributes, RestartPolicy, RetryPolicy};
pub use inventory;
pub use serde::{Serialize, de::DeserializeOwned};

pub use crate::{
    events::{
        NotScalar, SubscriptionEntry,
        event::{reach, scalar, shape, valid::invalid_fields},
        handler::{batch, one, takes, takes_batch, topic},
    },
    http::{
        Access, AuthEntry, Authenticated, EndpointContext, EndpointEntry, Layers, MakeLayers, MountEntry,
        ServiceLayersEntry, authenticated, call_elsewhere, from_parts, from_request, head_part, layer,
        mounted, no_layers, probe, respond, route, split, unnamed_result,
    },
    instance::{Position, ServiceEntry},
    lifecycle::{LifecycleEntry, Role, lifecycle_call},
    state::{Constructor, Creating, RegisteredResource, ResourceEntry, create, made_by, resource},
};

#[cfg(feature = "testing")]
pub use crate::app::{
    PATIENCE, TestChaos, TestOutcome, run_chaos_test, run_chaos_test_with, run_own_chaos_test, run_own_test,
    run_test, run_test_with,
};
#[cfg(feature = "testing")]
pub use crate::state::Replaced;

/// Where an item may be written, and what represents one that is elsewhere.
pub mod place {
    pub use crate::{
        events::handler::{nested_batch, nested_handler},
        http::nested_mount,
        instance::place::*,
        lifecycle::nested_lifecycle,
    };
}

/// The app that `app!` makes.
pub fn app(
    name: &'static str,
    home: &'static str,
    services: &[&'static ServiceEntry],
    layers: MakeLayers,
) -> crate::App {
    crate::App::new(name, home, services, layers)
}
