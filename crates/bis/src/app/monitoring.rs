//! The listener for monitoring the process: `/livez`, `/readyz` and `/metrics`. It is the first part to start and
//! the last to stop, and runs beside the code of users, so that it answers whatever the app is busy with. It decides nothing.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    http::{StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use bis_broker::BoxFuture;
use bis_core::prometheus::{CONTENT_TYPE, GAUGE, Page};
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    parts::SUBSYSTEMS,
    progress::{Progress, Stage},
};
use crate::{
    error::Result,
    http,
    instance::{Host, Instance, Part},
};

/// The name under which the address is reported.
const NAME: &str = "monitoring";

/// The listener.
pub(super) struct Monitoring {
    address: SocketAddr,
    progress: Arc<Progress>,
    /// Where it listens, and what serves there, once it has started.
    running: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Monitoring {
    /// A listener that reports how far an app is.
    pub(super) fn new(address: SocketAddr, progress: Arc<Progress>) -> Self {
        Self { address, progress, running: None }
    }
}

impl Part for Monitoring {
    fn name(&self) -> String {
        "monitoring".into()
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let listener = http::listen(self.address, "monitoring.address").await?;
            let address = listener.local_addr()?;
            let router = router(self.progress.clone(), host.instance.clone());
            self.running = Some((address, tokio::spawn(http::serve_until_aborted(listener, router))));
            Ok(())
        })
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.running.iter().map(|(address, _)| (NAME, *address)).collect()
    }

    fn stop(self: Box<Self>, _: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        if let Some((_, server)) = &self.running {
            server.abort();
        }
    }
}

fn router(progress: Arc<Progress>, instance: Arc<Instance>) -> Router {
    let ready = progress.clone();
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(|| async move { readiness(&ready) }))
        .route("/metrics", get(|| async move { metrics(&progress, &instance) }))
        .layer(map_response(async |answer| (Extension(http::Unmeasured), answer)))
}

/// The stage of the app as a whole.
fn stage(parts: &[(String, Stage)]) -> Stage {
    let latest = parts.iter().map(|(_, stage)| *stage).max();
    match latest {
        Some(stage @ (Stage::Draining | Stage::Stopped)) => stage,
        _ => parts.iter().map(|(_, stage)| *stage).min().unwrap_or(Stage::Waiting),
    }
}

/// 200 when the app is ready, else 503; both with the stage of every part.
fn readiness(progress: &Progress) -> Response {
    let parts = progress.parts();
    let (status, word) = match stage(&parts) {
        Stage::Started => (StatusCode::OK, "ready"),
        Stage::Waiting | Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Stage::Draining | Stage::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let parts: Vec<_> =
        parts.iter().map(|(name, stage)| json!({ "name": name, "stage": stage.as_str() })).collect();
    (status, Json(json!({ "status": word, "parts": parts }))).into_response()
}

fn metrics(progress: &Progress, instance: &Instance) -> Response {
    let mut page = Page::default();
    let is_ready = stage(&progress.parts()) == Stage::Started;
    page.one("bis_ready", GAUGE, "1 while the app is ready, else 0.", f64::from(u8::from(is_ready)));
    for subsystem in SUBSYSTEMS {
        subsystem.measure(instance, &mut page);
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.into_text()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stages: &[Stage], expected: Stage) {
        let parts: Vec<_> = stages.iter().map(|stage| ("part".to_owned(), *stage)).collect();
        assert_eq!(stage(&parts), expected, "{stages:?}");
    }

    #[test]
    fn an_app_is_as_far_as_its_last_part_and_stops_with_its_first() {
        use Stage::{Draining, Started, Starting, Stopped, Waiting};
        check(&[], Waiting);
        check(&[Started, Starting, Waiting], Waiting);
        check(&[Started, Starting], Starting);
        check(&[Started, Started], Started);
        check(&[Started, Draining], Draining);
        check(&[Draining, Stopped], Stopped);
    }
}
