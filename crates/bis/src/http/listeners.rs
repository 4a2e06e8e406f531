//! The listeners of a process, public and internal, as a part of its app.

use std::{io, net::SocketAddr, time::Duration};

use bis_broker::BoxFuture;
use bis_config::Config;
use bis_core::codes;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{
    connection::Limits,
    entry,
    layers::{MakeLayers, RequestService},
    router::{RouteError, Routers},
    server::{self, Serving},
    stack,
};
use crate::{
    error::{Error, ErrorContext, Result},
    instance::{Host, Part, Services, Stop},
};

/// Where the public listener is unless the configuration says otherwise.
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);

/// How much longer than the limit of a stop the listeners may take.
const GRACE: Duration = Duration::from_millis(500);

/// How long the answer to a question about the process may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The name under which the public listener's address is reported.
pub(crate) const PUBLIC: &str = "app";

/// The name under which the internal listener's address is reported.
const INTERNAL: &str = "internal";

/// The listeners of a process. A public one is there when the services have routes or one was asked for or handed over, an
/// internal one when its address is configured.
pub(crate) struct Listeners {
    /// What the process hosts.
    hosted: Services,
    layers: MakeLayers,
    /// Made at the start, of what the app's code makes then.
    routers: Option<Routers>,
    has_routes: bool,
    /// A public listener that was handed over: then others accept from the same socket, now or later.
    inherited: Option<std::net::TcpListener>,
    /// Called once a listener that was handed over is closed here.
    when_closed: fn(),
    bound: Bound,
    addresses: Vec<(&'static str, SocketAddr)>,
    stop: watch::Sender<Option<Stop>>,
    servers: JoinSet<io::Result<()>>,
}

/// Sockets that nothing is accepted from yet.
#[derive(Default)]
struct Bound {
    public: Option<TcpListener>,
    is_shared: bool,
    internal: Option<TcpListener>,
}

impl Listeners {
    /// Those for the services that a process hosts, with the app's layers.
    pub(crate) fn new(
        hosted: &Services,
        layers: MakeLayers,
        inherited: Option<std::net::TcpListener>,
        when_closed: fn(),
    ) -> Result<Self, RouteError> {
        let has_routes = !entry::endpoints(hosted).is_empty() || !entry::mounts(hosted).is_empty();
        Routers::check(hosted)?;
        Ok(Self {
            hosted: hosted.clone(),
            layers,
            routers: None,
            has_routes,
            inherited,
            when_closed,
            bound: Bound::default(),
            addresses: Vec::new(),
            stop: watch::Sender::new(None),
            servers: JoinSet::new(),
        })
    }
}

impl Part for Listeners {
    fn name(&self) -> String {
        "the HTTP listeners".into()
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        let (has_routes, inherited) = (self.has_routes, self.inherited.take());
        let (hosted, layers) = (self.hosted.clone(), self.layers);
        Box::pin(async move {
            let instance = host.instance.clone();
            // A socket belongs to the runtime that opens it, and so does a task that a layer spawns.
            let open = host.handlers.spawn(async move {
                for problem in stack::too_long(&hosted, instance.config.http.request_timeout) {
                    tracing::warn!("{problem}");
                }
                let routers = Routers::new(&hosted, instance.config.internal.known_secret(), layers)?;
                let bound = bind(has_routes, &instance.config, inherited).await?;
                Ok::<_, Error>((routers, bound))
            });
            let (routers, bound) = open.await??;
            (self.routers, self.bound) = (Some(routers), bound);
            for (name, listener) in [(PUBLIC, &self.bound.public), (INTERNAL, &self.bound.internal)] {
                if let Some(listener) = listener {
                    self.addresses.push((name, listener.local_addr()?));
                }
            }
            Ok(())
        })
    }

    fn ready(&mut self, host: &Host) -> Result<()> {
        let config = &host.instance.config;
        let Bound { public: public_listener, is_shared, internal: internal_listener } =
            std::mem::take(&mut self.bound);
        let public = Serving {
            request_timeout: config.http.request_timeout,
            takes_deadlines: false,
            when_closed: is_shared.then_some(self.when_closed),
            stop_within: config.app.stop_within,
            limits: Limits::DEFAULT,
        };
        let internal = Serving { takes_deadlines: true, when_closed: None, ..public };
        let routers = self.routers.take();
        let (public_app, internal_app) = match routers {
            Some(routers) => (Some(routers.public), routers.internal),
            None => (None, None),
        };
        for (listener, app, serving) in
            [(public_listener, public_app, public), (internal_listener, internal_app, internal)]
        {
            if let (Some(listener), Some(app)) = (listener, app) {
                let stopped = told(self.stop.subscribe());
                let server = server::serve(listener, app, stopped, serving);
                self.servers.spawn_on(server, &host.handlers);
            }
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.addresses.clone()
    }

    fn failed(&mut self) -> BoxFuture<'_, Error> {
        Box::pin(async {
            match self.servers.join_next().await {
                Some(ended) => why_ended(ended),
                None => std::future::pending().await,
            }
        })
    }

    fn drain(&mut self, stop: Stop, _: Instant) {
        self.stop.send_replace(Some(stop));
    }

    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        let mut servers = self.servers;
        Box::pin(async move {
            let ended = async { while servers.join_next().await.is_some() {} };
            // They keep to the limit themselves, unless their threads are blocked.
            tokio::time::timeout_at(deadline + GRACE, ended).await.ok();
        })
    }
}

fn why_ended(ended: Result<io::Result<()>, JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::msg("a listener closed"),
        Ok(Err(error)) => Error::new(error).context("serve HTTP"),
        Err(panicked) => panicked.into(),
    }
}

async fn bind(has_routes: bool, config: &Config, inherited: Option<std::net::TcpListener>) -> Result<Bound> {
    let is_shared = inherited.is_some();
    let public = match (inherited, config.http.address) {
        (Some(listener), _) => {
            listener.set_nonblocking(true)?;
            Some(TcpListener::from_std(listener).error_context("take over the listener")?)
        }
        (None, Some(address)) => Some(listen(address, "http.address").await?),
        (None, None) if has_routes => Some(listen(DEFAULT_ADDRESS, "http.address").await?),
        (None, None) => None,
    };
    let internal = match config.internal.address {
        Some(address) => Some(listen(address, "internal.address").await?),
        None => None,
    };
    Ok(Bound { public, is_shared, internal })
}

/// Listens where the configuration says, under this key.
///
/// # Errors
/// Says what to do.
pub(crate) async fn listen(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another process has the port: stop it, or set `{key}` in the file that `BIS_CONFIG` names")
            }
            _ => String::new(),
        };
        Error::new(error).context(format!("cannot listen on {address}{remedy} [{}]", codes::LISTEN))
    })
}

async fn told(mut stopped: watch::Receiver<Option<Stop>>) -> Stop {
    let stop = stopped.wait_for(Option::is_some).await.map(|stop| *stop);
    // A sender that is gone means that nobody goes on.
    stop.ok().flatten().unwrap_or(Stop::Prompt)
}

/// Serves what stops without telling its clients: questions about the process, which run on the current runtime.
pub(crate) async fn serve_until_aborted(listener: TcpListener, router: axum::Router) {
    let serving = Serving {
        request_timeout: QUESTION_TIMEOUT,
        takes_deadlines: false,
        when_closed: None,
        stop_within: Duration::ZERO,
        limits: Limits::DEFAULT,
    };
    // It ends when it is stopped, which nobody does.
    server::serve(listener, RequestService::new(router), std::future::pending(), serving).await.ok();
}
