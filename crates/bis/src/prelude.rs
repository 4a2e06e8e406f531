//! What most modules of an app need: `use bis::prelude::*;`.
//!
//! [`bis::Context`](crate::Context) is imported by name: its method is called as that of `anyhow::Context`, and an app uses one of
//! the two.

pub use std::time::Duration;

pub use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::IntoResponse,
};
pub use serde::{Deserialize, Serialize};

#[cfg(feature = "testing")]
pub use crate::TestApp;
pub use crate::{Delivery, Error, Event, EventId, Result, Topic, api, mount, subscription, tracing};
