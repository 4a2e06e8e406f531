//! Serves a router on a listener until it is told to stop, then lets clients and running requests finish.

use std::{
    fmt,
    future::{Future, IntoFuture},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    response::Response,
    serve::Listener,
};
use tokio::{net::TcpListener, sync::oneshot};
use tower::ServiceExt;

/// How long a client with a kept connection may still send a request after the stop. A connection that is closed at once
/// could meet a request under way to it, and lose it.
const LINGER: Duration = Duration::from_millis(500);

/// A listener that another process accepts from too. It is closed as soon as the stop begins, so that new connections
/// reach the other process, while those that are open have their time to finish.
pub(crate) struct SharedListener<S, C> {
    listener: Option<TcpListener>,
    address: std::net::SocketAddr,
    stop: S,
    closed: C,
}

impl<S, C> SharedListener<S, C> {
    /// Accepts until `stop` completes, then closes the socket and calls `closed`.
    pub(crate) fn new(listener: TcpListener, stop: S, closed: C) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, listener: Some(listener), stop, closed })
    }
}

impl<S, C> Listener for SharedListener<S, C>
where
    S: Future<Output = ()> + Send + Unpin + 'static,
    C: FnMut() + Send + 'static,
{
    type Io = <TcpListener as Listener>::Io;
    type Addr = <TcpListener as Listener>::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        if let Some(listener) = &mut self.listener {
            tokio::select! {
                biased;
                () = &mut self.stop => {}
                accepted = Listener::accept(listener) => return accepted,
            }
            self.listener = None;
            (self.closed)();
        }
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

impl<S, C> fmt::Debug for SharedListener<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedListener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Serves until `stop` completes. Then answers ask their clients to close the connection; a moment later nothing is
/// accepted any more, and what runs has the rest of `limit` to finish, after which it is cut when the runtime ends.
pub(crate) async fn serve<L>(
    listener: L,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    limit: Duration,
) -> io::Result<()>
where
    L: Listener<Addr: fmt::Debug>,
{
    let is_stopping = Arc::new(AtomicBool::new(false));
    let service = ServiceExt::<Request>::map_response(router, close_when(is_stopping.clone()));
    let linger = LINGER.min(limit);
    let (lingered, too_late) = oneshot::channel();
    let stop = async move {
        stop.await;
        is_stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(linger).await;
        // The receiver is gone only when serving has ended by itself.
        let _ = lingered.send(());
    };
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    let mut serving = tokio::spawn(axum::serve(listener, service).with_graceful_shutdown(stop).into_future());
    let too_late = async {
        match too_late.await {
            Ok(()) => tokio::time::sleep(limit - linger).await,
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

/// Has a client close its connection after the answer, once the flag is set.
fn close_when(is_stopping: Arc<AtomicBool>) -> impl FnOnce(Response) -> Response + Clone {
    move |mut response| {
        if is_stopping.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Answers one request without a socket.
pub(crate) async fn answer(router: &Router, request: Request) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    const ANSWER: &str = "hello";

    /// Sends a request now and then on one connection, until an answer asks to close it; returns how many were answered.
    async fn requests(address: std::net::SocketAddr) -> io::Result<u32> {
        let mut stream = TcpStream::connect(address).await?;
        let mut answered = 0;
        loop {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
            let mut answer = String::new();
            while !answer.ends_with(ANSWER) {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            answered += 1;
            if answer.contains("connection: close") {
                return Ok(answered);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_stop_loses_no_request_on_a_kept_connection() {
        let router = Router::new().route("/", axum::routing::get(async || ANSWER));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let serving = tokio::spawn(serve(listener, router, stopped, Duration::from_secs(10)));
        let clients: Vec<_> = (0..8).map(|_| tokio::spawn(requests(address))).collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        for client in clients {
            assert!(client.await.unwrap().unwrap() > 1);
        }
        serving.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
