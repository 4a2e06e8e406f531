//! Serves a router on a listener until it is told to stop, then lets the running requests finish.

use std::{future::Future, io, time::Duration};

use axum::{Router, extract::Request, response::Response};
use tokio::{net::TcpListener, sync::oneshot};
use tower::ServiceExt;

/// Serves until `stop` completes. Then no connection is accepted and no request taken; those that run have `limit` to
/// finish, after which their connections are cut when the runtime ends.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    limit: Duration,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        // The receiver is gone only when serving has ended by itself.
        let _ = stopping.send(());
    };
    let mut serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop).into_future());
    let too_late = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(limit).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        served = &mut serving => served.unwrap_or_else(|error| Err(io::Error::other(error))),
        () = too_late => {
            serving.abort();
            tracing::warn!(limit_ms = limit.as_millis(), "requests are cut off: they outlived the time to stop");
            Ok(())
        }
    }
}

/// Answers one request without a socket.
pub(crate) async fn answer(router: &Router, request: Request) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
