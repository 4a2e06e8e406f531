//! HTTP connections from their acceptance to their end: each has bounds in time, and a stop waits only for requests in
//! progress. It knows no route.

mod patience;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use self::patience::{Patient, Phase};
use super::Server;

/// How long a stopping router waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(2);

/// Serves the routes until the router stops, and waits for the connections to end.
pub(super) async fn serve<L>(server: Arc<Server>, mut listener: L, routes: Router)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let mut connections = JoinSet::new();
    let stopped = server.journal.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            (stream, remote) = listener.accept() => {
                let (server, routes) = (Arc::clone(&server), routes.clone());
                connections.spawn(async move {
                    if let Err(error) = connection(&server, stream, routes).await {
                        tracing::debug!(?remote, error = error.to_string(), "an HTTP connection ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
            () = &mut stopped => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
) -> Result<(), hyper::Error> {
    let phase = Phase::default();
    let patient = Patient::new(stream, phase.clone(), server.options.http);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| {
        phase.begin();
        let (response, phase) = (routes.call(request.map(Body::new)), phase.clone());
        async move {
            let response = response.await;
            phase.end();
            // The connection thinks that it waits for the client already, and the wait for the next request begins here.
            poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::Ready(())
            })
            .await;
            response
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(patient), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = server.journal.stopped() => connection.as_mut().graceful_shutdown(),
    }
    // An incomplete request does not hold up a stop.
    tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
}
