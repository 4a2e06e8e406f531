//! An app as a process: configuration, signals, and the stop in order.

use std::{io, net::TcpListener, process::ExitCode, sync::Arc, time::Duration};

use bis_broker::Broker;
use bis_config::{BrokerConfig, Config};
use bis_core::codes;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{App, faults::Faults, parts, ready, running::Running};
use crate::{
    error::{Error, ErrorContext, Result},
    events::in_process::InProcess,
    http,
    instance::{self, Clock, Host, Instance, Part, Reach, Scope, Stop},
    telemetry,
};

/// The exit code after a second signal: as if the first SIGINT had ended the process.
const CUT_SHORT: i32 = 130;

/// The signal of Ctrl-C.
const INTERRUPT: &str = "SIGINT";

/// Runs the app until it is told to stop.
pub(super) fn run(app: &App) -> ExitCode {
    telemetry::init(Scope::write_place);
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
        return Err(Error::msg(format!(
            "`App::main` makes the tokio runtime, and was called inside another one: take `#[tokio::main]` away and write `fn main() -> std::process::ExitCode` [{}]",
            codes::NESTED_RUNTIME
        )));
    }
    let config = Config::from_env()?;
    parts::check(&app.services, &config)?;
    // Before any thread exists, since taking the listener over changes the environment.
    let inherited = inherited_listener()?;
    // Handlers and endpoints may block their threads. Signals, the limit of a stop, leases and the connections to the broker
    // belong to this runtime, which runs no code of users.
    let handlers = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let upkeep = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = upkeep.block_on(serve(app, config, inherited, handlers.handle()));
    // What outlived the limit is dropped here; its events come again.
    handlers.shutdown_timeout(Duration::from_millis(100));
    result
}

/// The public listener that systemd, or a process that works as systemd does, hands over.
fn inherited_listener() -> Result<Option<TcpListener>> {
    let mut inherited = listenfd::ListenFd::from_env();
    if inherited.len() == 0 {
        return Ok(None);
    }
    let listener =
        inherited.take_tcp_listener(0).error_context("take over the listener that `LISTEN_FDS` announces")?;
    Ok(listener)
}

/// The broker that the configuration names.
fn broker(config: &Config) -> Result<Arc<dyn Broker>> {
    match &config.broker {
        BrokerConfig::InProcess(_) => Ok(Arc::new(InProcess::new())),
        BrokerConfig::Nsq(_) => Ok(bis_drivers::open(config)?),
    }
}

async fn serve(app: &App, config: Config, inherited: Option<TcpListener>, handlers: &Handle) -> Result<()> {
    let mut signals = Signals::new()?;
    let mut running = Running::default();
    let parts =
        parts::of_process(&app.services, app.layers, &config, running.progress(), inherited, tell_draining)?;
    let (broker, faults) = Faults::before(broker(&config)?)?;
    let extensions = parts::process_extensions(&app.services, &config, broker)?;
    let instance = Arc::new(Instance::new(app.name(), config, Clock::System, extensions));
    let limit = instance.config.app.stop_within;
    let registered = instance::register(instance.clone(), Reach::Process);
    let host = Host { instance, handlers: handlers.clone() };
    let (stop, result) = until_stopped(app, &mut running, parts, &host, &mut signals).await;
    host.instance.stopping.begin();
    tokio::select! {
        () = running.stop(stop, limit) => {}
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; unfinished events come again");
            std::process::exit(CUT_SHORT);
        }
    }
    faults.tell();
    drop(registered);
    result
}

/// Starts the parts and lets them work until a signal comes or one of them breaks. Returns how to stop, and the process's exit
/// code.
async fn until_stopped(
    app: &App,
    running: &mut Running,
    parts: Vec<Box<dyn Part>>,
    host: &Host,
    signals: &mut Signals,
) -> (Stop, Result<()>) {
    let limit = host.instance.config.app.stop_within;
    tokio::select! {
        biased;
        started = running.start(parts, host) => {
            if let Err(error) = started.and_then(|()| tell_ready(app, running)) {
                return (Stop::Prompt, Err(error));
            }
        }
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before the app was ready");
            return (Stop::Prompt, Ok(()));
        }
    }
    tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, limit_s = limit.as_secs(), "stopping");
            // The user who pressed Ctrl-C is waiting.
            (if name == INTERRUPT { Stop::Prompt } else { Stop::HandOver }, Ok(()))
        }
        error = running.failed() => (Stop::Prompt, Err(error)),
    }
}

fn tell_ready(app: &App, running: &Running) -> Result<()> {
    let addresses = running.addresses();
    ready::tell(&addresses).error_context("tell that the app is ready")?;
    let public = addresses.iter().find(|(name, _)| *name == http::PUBLIC).map(|(_, address)| address);
    tracing::info!(app = app.name(), http = public.map(tracing::field::display), "ready");
    Ok(())
}

fn tell_draining() {
    if let Err(error) = ready::tell_draining() {
        tracing::warn!(%error, "cannot tell that new connections are for the next process");
    }
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
