//! What most modules of an app need: `use bis::prelude::*;`.

pub use std::time::Duration;

pub use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
pub use serde::{Deserialize, Serialize};

#[cfg(feature = "testing")]
pub use crate::TestApp;
#[cfg(feature = "garde")]
pub use crate::Valid;
pub use crate::{
    Auth, Delivery, Error, ErrorContext, Event, EventId, Resource, Result, Topic, api, auth, background,
    mount, on_start, on_stop, subscription, tracing,
};
