//! What the router reports about itself: `/ping`, `/info`, `/stats`, `/metrics`. It changes nothing.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bis_core::prometheus;
use serde_json::json;

use super::{Arguments, json_reply, versioned};
use crate::server::stats::{self, Filter};
use crate::server::{Server, VERSION, metrics};

/// `/ping`: `OK`, or status 500 and the reason.
pub(super) async fn ping(Extract(server): Extract<Arc<Server>>) -> Response {
    let health = stats::health(&server.journal.lock());
    let is_well = health == "OK";
    (if is_well { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }, health).into_response()
}

/// `/info`: who this is. Durations are nanoseconds, as Go writes them.
pub(super) async fn info(Extract(server): Extract<Arc<Server>>) -> Response {
    let options = &server.options;
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    json_reply(&json!({
        "version": VERSION,
        "broadcast_address": server.broadcast_address(),
        "hostname": server.hostname,
        "http_port": server.http_address.port(),
        "tcp_port": server.tcp_address.port(),
        "start_time": server.started,
        "max_heartbeat_interval": nanos(options.max_heartbeat_interval),
        "max_output_buffer_size": options.max_output_buffer_bytes,
        "max_output_buffer_timeout": nanos(options.max_output_buffer_timeout),
        "max_deflate_level": options.compression.max_deflate_level,
    }))
}

/// `/stats`: as JSON with `format=json`, for people otherwise.
pub(super) async fn stats(Extract(server): Extract<Arc<Server>>, arguments: Arguments) -> Response {
    let filter = Filter {
        topic: arguments.filled("topic"),
        channel: arguments.filled("channel"),
        clients: arguments.flag("include_clients") != Some(false),
        memory: arguments.flag("include_mem") != Some(false),
    };
    let stats = stats::gather(&server, &filter);
    if arguments.get("format") == Some("json") { json_reply(&stats) } else { versioned(stats.to_string()) }
}

/// `/metrics`: for Prometheus.
pub(super) async fn metrics(Extract(server): Extract<Arc<Server>>) -> Response {
    ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], metrics::text(&server)).into_response()
}
