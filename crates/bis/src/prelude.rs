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

pub use crate::{Delivery, Error, Event, EventId, Result, TestApp, Topic, api, mount, subscription, tracing};
