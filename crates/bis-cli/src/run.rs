//! `bis run`: everything between the first build and Ctrl-C.
//!
//! The router runs in this process; the app is a separate process, and never linked.

mod build;
mod chaos;
mod compare;
mod dispatcher;
mod event;
mod instance;
mod late;
mod listener;
mod part;
mod report;
mod restart;
mod router;
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result};
use bis_analyzer::Options;
use bis_config::{BrokerConfig, Config, NsqConfig};
use bis_core::ServiceName;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use bis_graph::{Diagnostic, codes};

use crate::arguments;
use crate::check::{self, Checked, Checker};
use crate::exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::run::build::BuildOptions;
use crate::run::chaos::Chaos;
use crate::run::dispatcher::{Dispatcher, PENDING_EVENTS, Setup};
use crate::run::event::Event;
use crate::run::listener::PublicListener;
use crate::run::part::Parts;
use crate::run::report::{Report, Reporter};
use crate::run::router::LocalRouter;
use crate::run::watch::{Inputs, Watch};
use crate::state::{Running, StateFolder};

pub(crate) use crate::run::router::warn_of_damage;

/// Runs an app until it is stopped.
pub(crate) fn run(arguments: arguments::Run) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let code = runtime.block_on(serve(arguments));
    // Tasks that still run were asked to stop and did not; the process ends without them.
    runtime.shutdown_background();
    code
}

async fn serve(arguments: arguments::Run) -> Result<ExitCode> {
    let chaos = arguments.chaos.as_deref().map(Chaos::parse).transpose()?;
    let project = Project::find(&arguments.folder)?;
    build::check_cargo()?;
    let reporter = Reporter::new(arguments.format);
    let options = check::options(&arguments.features, None);
    let options = Options { bin: arguments.bin.clone(), ..options };
    let checker = Checker::new(project.folder());
    let checked = checker.check(&options)?;
    if !is_app(&checked) {
        anstream::eprint!("{}", checked.text());
        let (errors, warnings) = (checked.errors(), checked.warnings());
        let failed = Report::CheckFailed { errors, warnings, still_running: None };
        reporter.report(&failed).context("cannot write to stdout")?;
        return Ok(exit::APP.into());
    }
    check_services(&checked, &arguments.services)?;
    let state = StateFolder::of(project.folder(), arguments.namespace.as_deref())?;
    let claim = state.claim()?;
    if arguments.fresh {
        claim.clear()?;
    }
    let (sender, events) = mpsc::channel(PENDING_EVENTS);
    listen_for_signals(sender.clone())?;
    let watch = Watch::start(Inputs::of_package(project.folder()), sender.clone())
        .context("cannot watch the app's files")?;
    let listener = PublicListener::bind(arguments.port).context("cannot listen for requests")?;
    let mut parts = Parts::new(sender.clone());
    let restarts = chaos.as_ref().and_then(Chaos::restarts);
    let router = LocalRouter::start(&state.router_data(), arguments.router_port, restarts).await?;
    let running = Running {
        pid: std::process::id(),
        app: format!("http://{}", listener.address()),
        router: router.tcp_address().to_string(),
        router_http: router.http_address().to_string(),
    };
    claim.write_addresses(&running)?;
    claim.write_config(&config(&running, &listener, &arguments.services)?)?;
    let replaced_ports = replaced_ports(&listener, &router);
    parts.add(router);
    let setup = Setup {
        project,
        checker,
        options: BuildOptions {
            binary: arguments.bin,
            release: arguments.release,
            features: arguments.features,
            faults: chaos.is_some(),
        },
        format: arguments.format,
        claim,
        listener,
        running,
        replaced_ports,
        watch,
        sender,
        chaos,
    };
    let ended = Dispatcher::new(setup).run(events).await;
    // The app is gone by now, so it does not miss any of them.
    let stopped = parts.stop().await;
    let code = ended?;
    if code != exit::SURROUNDINGS {
        // The failure of a part has already been reported.
        stopped?;
    }
    reporter.report(&Report::Stopped).context("cannot write to stdout")?;
    Ok(code.into())
}

/// Checks that the source has one app to run; other errors can be fixed while the command waits. An app may
/// also be in a part that could not be read.
fn is_app(checked: &Checked) -> bool {
    let analysis = checked.analysis();
    let is_none =
        |found: &Diagnostic| found.is_error() && [codes::NO_APP, codes::MANY_APPS].contains(&found.code);
    analysis.package.is_some() && !analysis.diagnostics.iter().any(is_none)
}

/// Refuses services that the app does not have. With errors in the source, or where a file or macro could not be read,
/// some may be missing from the graph; then the app itself decides.
fn check_services(checked: &Checked, wanted: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> = checked.analysis().graph.services.iter().map(|service| &*service.name).collect();
    let unknown = wanted.iter().find(|name| !known.contains(&name.as_str()));
    let gaps = [
        codes::NO_APP,
        codes::SYNTAX_ERROR,
        codes::MISSING_MODULE,
        codes::UNREAD_INCLUDE,
        codes::UNREAD_MACRO,
    ];
    let has_gap =
        checked.analysis().diagnostics.iter().any(|found| found.is_error() || gaps.contains(&found.code));
    match unknown {
        Some(name) if !has_gap => Err(Failure::new(exit::USAGE, format!("the app has no service `{name}`"))
            .help(format!(
                "its services are {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ))),
        _ => Ok(()),
    }
}

/// Requested ports that were taken, each with its replacement.
fn replaced_ports(listener: &PublicListener, router: &LocalRouter) -> Vec<(u16, u16)> {
    let public = listener.taken_port().map(|wanted| (wanted, listener.address().port()));
    public.into_iter().chain(router.replaced_ports()).collect()
}

/// The app's configuration.
fn config(running: &Running, listener: &PublicListener, services: &[String]) -> Result<Config> {
    let services =
        services.iter().map(|name| ServiceName::parse(name.clone())).collect::<Result<Vec<_>, _>>();
    let mut config = Config::default();
    config.app.services = Some(services?).filter(|services| !services.is_empty());
    config.http.address = Some(listener.address());
    let nsq = NsqConfig { address: Some(running.router.clone()), ..NsqConfig::default() };
    config.broker = BrokerConfig::Nsq(Box::new(nsq));
    Ok(config)
}

fn listen_for_signals(events: mpsc::Sender<Event>) -> Result<()> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds {
        let mut signals = signal(kind).context("cannot listen for signals")?;
        let events = events.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if events.send(Event::StopRequested).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
