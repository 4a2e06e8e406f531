//! Serves an app on a listener until it is told to stop, then lets clients and running requests finish.

use std::{convert::Infallible, future::Future, io, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    connection::{self, Limits, Shared, Stage},
    layers::RequestService,
};
use crate::instance::Stop;

/// How long a listener of its own still takes connections after the stop, for clients that do not know of it yet.
const FAREWELL: Duration = Duration::from_millis(500);

/// The longest that a kept connection stays open after the stop, for the next request of its client.
const MAX_LINGER: Duration = Duration::from_secs(10);

/// The pause after a connection could not be taken, which lets others end.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// The shortest time between two lines of the log about connections that cannot be taken.
const FULL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How a listener serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Serving {
    /// How long a request may take until its answer begins.
    pub(crate) request_timeout: Duration,
    /// Whether a request may name its own time, as calls from another process do.
    pub(crate) takes_deadlines: bool,
    /// Set when another process holds the socket too, and takes the connections after the stop. Called once it is closed
    /// here.
    pub(crate) when_closed: Option<fn()>,
    /// How long everything may take after the stop.
    pub(crate) stop_within: Duration,
    /// How long clients may take.
    pub(crate) limits: Limits,
}

impl Serving {
    /// How long a kept connection stays open after the stop, so that its client's next request is still answered, with the
    /// wish to close it. The last request has at least the other half of the time.
    fn linger(self, stop: Stop) -> Duration {
        let longest = match stop {
            Stop::HandOver => MAX_LINGER,
            Stop::Prompt => FAREWELL,
        };
        longest.min(self.stop_within / 2)
    }
}

/// Serves until `stop` completes. Then nothing more is accepted, every answer asks its client to close the connection, and
/// what runs has `stop_within` to finish, after which it is cut.
pub(crate) async fn serve(
    listener: TcpListener,
    app: RequestService,
    stop: impl Future<Output = Stop> + Send + 'static,
    serving: Serving,
) -> io::Result<()> {
    let (stage, stages) = watch::channel(Stage::default());
    let (alive, mut all_gone) = mpsc::channel(1);
    let Serving { request_timeout, takes_deadlines, when_closed, stop_within, limits } = serving;
    let shared = Shared { app, stage: stages, request_timeout, takes_deadlines, limits, alive };
    let stop = tokio::select! {
        biased;
        stop = stop => stop,
        never = accept(&listener, &shared, &stage) => match never {},
    };
    let (stopping_at, linger) = (Instant::now(), serving.linger(stop));
    stage.send_modify(|stage| (stage.stopping_at, stage.linger) = (Some(stopping_at), linger));
    if when_closed.is_none() {
        // It accepts until the time is over.
        tokio::time::timeout(FAREWELL.min(linger), accept(&listener, &shared, &stage)).await.ok();
    }
    drop((listener, shared));
    if let Some(when_closed) = when_closed {
        when_closed();
    }
    if tokio::time::timeout_at(stopping_at + stop_within, all_gone.recv()).await.is_err() {
        tracing::warn!(
            limit_ms = stop_within.as_millis(),
            "requests are cut off: they outlived the time to stop"
        );
        stage.send_modify(|stage| stage.is_over = true);
    }
    Ok(())
}

/// Takes connections, and never ends.
async fn accept(listener: &TcpListener, shared: &Shared, stage: &watch::Sender<Stage>) -> Infallible {
    let mut logged_at: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, client)) => drop(tokio::spawn(connection::serve(stream, client, shared.clone()))),
            // The client gave up before its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let now = Instant::now();
                if logged_at.is_none_or(|at| now - at >= FULL_LOG_INTERVAL) {
                    logged_at = Some(now);
                    tracing::error!(%error, "cannot take a connection; those that wait for a request are closed");
                }
                stage.send_modify(|stage| stage.full_at = Some(now));
                tokio::time::sleep(FULL_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
