//! What most modules of an app need: `use bis::prelude::*;`.

pub use std::time::Duration;

pub use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::IntoResponse,
};
pub use serde::{Deserialize, Serialize};

pub use crate::{
    Context, Delivery, Error, Event, EventId, Result, TestApp, Topic, api, mount, subscription, tracing,
};
