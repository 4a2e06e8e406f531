//! An app as a process: configuration, listeners, signals, and the stop in order.

use std::{io, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use bis_broker::Broker;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use super::{App, Parts, consistency, ready};
use crate::{
    config::{BrokerConfig, Config},
    error::{Context, Error, Result},
    events::{in_process::InProcess, runtime::Stopped},
    http::{self, Limits, Serving, Stop},
    instance::{self, Clock, Instance, Reach},
    telemetry,
    testing::chaos::{self, ChaosBroker},
};

/// Where the public listener is unless the configuration says otherwise.
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);

/// How long the broker's driver may take to flush, after handlers are done.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How much longer than the limit of a stop its listeners may take.
const REQUESTS_GRACE: Duration = Duration::from_millis(500);

/// The exit code after a second signal: as if the first SIGINT had ended the process.
const CUT_SHORT: i32 = 130;

/// The signal of Ctrl-C.
const INTERRUPT: &str = "SIGINT";

/// Runs the app until it is told to stop.
pub(super) fn run(app: &App) -> ExitCode {
    telemetry::init();
    match try_run(app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(app: &App) -> Result<()> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::msg(
            "`App::main` makes the tokio runtime, and was called inside another one: take `#[tokio::main]` away and write `fn main() -> std::process::ExitCode`",
        ));
    }
    let config = Config::from_env()?;
    consistency::check(app, &config)?;
    // Before any thread exists, since taking the listener over changes the environment.
    let inherited = inherited_listener()?;
    // Handlers and endpoints may block their threads. Signals, the limit of a stop, leases and the connections to the broker
    // belong to this one, which runs nobody's code.
    let handlers = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let upkeep = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = upkeep.block_on(serve(app, config, inherited, handlers.handle()));
    // What outlived the limit is dropped here; its events come again.
    handlers.shutdown_timeout(Duration::from_millis(100));
    result
}

/// The public listener that systemd, or whoever started this process in its way, hands over.
fn inherited_listener() -> Result<Option<std::net::TcpListener>> {
    let mut inherited = listenfd::ListenFd::from_env();
    if inherited.len() == 0 {
        return Ok(None);
    }
    let listener =
        inherited.take_tcp_listener(0).context("take over the listener that `LISTEN_FDS` announces")?;
    Ok(listener)
}

fn broker(config: &Config) -> Result<Arc<dyn Broker>> {
    match &config.broker {
        BrokerConfig::InProcess(_) => Ok(Arc::new(InProcess::new())),
        BrokerConfig::Nsq(_) => Ok(bis_drivers::open(config)?),
    }
}

async fn serve(
    app: &App,
    config: Config,
    inherited: Option<std::net::TcpListener>,
    handlers: &Handle,
) -> Result<()> {
    let mut signals = Signals::new()?;
    let mut broker = broker(&config)?;
    let chaos = chaos::from_env()?.map(|settings| {
        tracing::warn!(seed = settings.seed(), %settings, "faults are injected, as `BIS_CHAOS` asks for");
        Arc::new(ChaosBroker::new(broker.clone(), settings))
    });
    if let Some(chaos) = &chaos {
        broker = chaos.clone();
    }
    let instance = Arc::new(Instance::new(app.name(), config, Clock::System, broker));
    instance.note_taken(app.subscriptions().iter().map(|declared| declared.subscribed.topic));
    let registered = instance::register(instance.clone(), Reach::Process);
    let (own, config) = (app.clone(), instance.clone());
    let listeners = handlers.spawn(async move { Listeners::bind(&own, &config.config, inherited).await });
    let listeners = listeners.await??;
    let parts = tokio::select! {
        biased;
        parts = Parts::start(app, &instance, handlers) => parts?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before the app was ready");
            return Ok(());
        }
    };
    let limit = instance.config.app.stop_within;
    let (stop, stopped) = watch::channel(None);
    let addresses = listeners.addresses()?;
    let mut servers = listeners.serve(&parts.routers, &stopped, &instance.config, handlers);
    let (public, internal) = addresses;
    ready::tell(public, internal).context("tell that the app is ready")?;
    tracing::info!(app = app.name(), http = public.map(tracing::field::display), "ready");

    let broken = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, limit_s = limit.as_secs(), "stopping");
            // Whoever pressed Ctrl-C waits.
            stop.send_replace(Some(if name == INTERRUPT { Stop::Prompt } else { Stop::HandOver }));
            None
        }
        Some(server) = servers.join_next() => {
            stop.send_replace(Some(Stop::Prompt));
            Some(server)
        }
    };
    let drained = async {
        let workers = parts.workers.stop(limit);
        let requests = async { while servers.join_next().await.is_some() {} };
        // They keep to the limit themselves, unless their threads are blocked.
        let requests = tokio::time::timeout(limit + REQUESTS_GRACE, requests);
        let (stopped, _) = tokio::join!(workers, requests);
        if stopped == Stopped::CutOff {
            tracing::warn!("handlers are cut off: they outlived the time to stop; their events come again");
        }
        if tokio::time::timeout(CLOSE_LIMIT, instance.broker.close()).await.is_err() {
            tracing::warn!("the broker did not take the last answers in time; some events come again");
        }
    };
    tokio::select! {
        () = drained => {}
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; unfinished events come again");
            std::process::exit(CUT_SHORT);
        }
    }
    if let Some(chaos) = chaos {
        tracing::info!(faults = %chaos.faults(), "chaos ends");
    }
    drop(registered);
    match broken {
        None => Ok(()),
        Some(Ok(served)) => served.context("serve HTTP").and_then(|()| Err(Error::msg("a listener closed"))),
        Some(Err(panicked)) => Err(panicked.into()),
    }
}

/// The listeners of a process.
struct Listeners {
    public: Option<TcpListener>,
    /// Whether the public one was handed over: then others accept from the same socket, now or later.
    is_shared: bool,
    internal: Option<TcpListener>,
}

impl Listeners {
    /// Opens what the app needs: a public listener when it has endpoints or one was asked for or handed over, an internal
    /// one when its address is configured.
    async fn bind(app: &App, config: &Config, inherited: Option<std::net::TcpListener>) -> Result<Self> {
        let hosted = app.hosted(config)?;
        let is_hosted = |name: &str| hosted.iter().any(|service| service.name == name);
        let has_routes = app.endpoints().iter().any(|(_, service)| is_hosted(service.name))
            || app.mounts().iter().any(|(_, service)| is_hosted(service.name));
        let is_shared = inherited.is_some();
        let public = match (inherited, config.http.address) {
            (Some(listener), _) => {
                listener.set_nonblocking(true)?;
                Some(TcpListener::from_std(listener)?)
            }
            (None, Some(address)) => Some(listen(address, "http.address").await?),
            (None, None) if has_routes => Some(listen(DEFAULT_ADDRESS, "http.address").await?),
            (None, None) => None,
        };
        let internal = match config.internal.address {
            Some(address) => Some(listen(address, "internal.address").await?),
            None => None,
        };
        Ok(Self { public, is_shared, internal })
    }

    fn addresses(&self) -> io::Result<(Option<SocketAddr>, Option<SocketAddr>)> {
        let address =
            |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok((address(&self.public)?, address(&self.internal)?))
    }

    fn serve(
        self,
        routers: &http::Routers,
        stopped: &watch::Receiver<Option<Stop>>,
        config: &Config,
        handlers: &Handle,
    ) -> JoinSet<io::Result<()>> {
        let public = Serving {
            request_timeout: config.http.request_timeout,
            takes_deadlines: false,
            when_closed: self.is_shared.then_some(tell_draining),
            stop_within: config.app.stop_within,
            limits: Limits::DEFAULT,
        };
        let internal = Serving { takes_deadlines: true, when_closed: None, ..public };
        let mut servers = JoinSet::new();
        let both = [
            (self.public, Some(&routers.public), public),
            (self.internal, routers.internal.as_ref(), internal),
        ];
        for (listener, router, serving) in both {
            if let (Some(listener), Some(router)) = (listener, router) {
                let server = http::serve(listener, router.clone(), told(stopped.clone()), serving);
                servers.spawn_on(server, handlers);
            }
        }
        servers
    }
}

fn tell_draining() {
    if let Err(error) = ready::tell_draining() {
        tracing::warn!(%error, "cannot tell that new connections are for the next process");
    }
}

async fn told(mut stopped: watch::Receiver<Option<Stop>>) -> Stop {
    let stop = stopped.wait_for(Option::is_some).await.map(|stop| *stop);
    // A sender that is gone means that nobody goes on.
    stop.ok().flatten().unwrap_or(Stop::Prompt)
}

async fn listen(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another process has the port: stop it, or set `{key}` in the file that `BIS_CONFIG` names")
            }
            _ => String::new(),
        };
        Error::new(error).context(format!("cannot listen on {address}{remedy}"))
    })
}

/// The signals that stop an app.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => INTERRUPT,
        }
    }
}
