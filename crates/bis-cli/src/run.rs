//! `bis run`: everything that lives between the first build and Ctrl-C.
//!
//! The router runs in this process; the application is a process of its own, and never linked.

mod build;
mod dispatcher;
mod event;
mod instance;
mod listener;
mod report;
mod router;
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::arguments;
use crate::exit;
use crate::project::Project;
use crate::run::build::BuildOptions;
use crate::run::dispatcher::{Dispatcher, PENDING_EVENTS, Parts};
use crate::run::event::Event;
use crate::run::listener::PublicListener;
use crate::run::report::{Report, Reporter};
use crate::run::router::LocalRouter;
use crate::run::watch::Watch;
use crate::state::{Running, StateFolder};

pub(crate) use crate::run::router::warn_of_damage;

/// Runs an application until it is stopped.
pub(crate) fn run(arguments: arguments::Run) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let code = runtime.block_on(serve(arguments));
    // Whatever still runs was asked to stop and did not; the process ends with it.
    runtime.shutdown_background();
    code
}

async fn serve(arguments: arguments::Run) -> Result<ExitCode> {
    let project = Project::find(&arguments.folder)?;
    build::check_cargo()?;
    let state = StateFolder::of(project.folder(), arguments.namespace.as_deref())?;
    let claim = state.claim()?;
    if arguments.fresh {
        claim.clear()?;
    }
    let (sender, events) = mpsc::channel(PENDING_EVENTS);
    listen_for_signals(sender.clone())?;
    let watch =
        Watch::start(project.folder(), sender.clone()).context("cannot watch the application's files")?;
    let listener = PublicListener::bind(arguments.port).context("cannot listen for requests")?;
    let router = LocalRouter::start(&state.router_data(), arguments.router_port).await?;

    let running = Running {
        pid: std::process::id(),
        app: format!("http://{}", listener.address()),
        router: router.tcp_address().to_string(),
        router_http: router.http_address().to_string(),
    };
    claim.write_addresses(&running)?;
    claim.write_config(&config(&running, &listener))?;
    let replaced_ports = listener
        .taken_port()
        .map(|wanted| (wanted, listener.address().port()))
        .into_iter()
        .chain(router.replaced_ports())
        .collect();
    let reporter = Reporter::new(arguments.format);
    let failing = sender.clone();
    let parts = Parts {
        project,
        options: BuildOptions {
            binary: arguments.bin,
            release: arguments.release,
            features: arguments.features,
        },
        format: arguments.format,
        claim,
        listener,
        running,
        replaced_ports,
        watch,
        sender,
    };
    let tell_of_failure = async {
        // A closed queue means that the loop has ended.
        let _ = failing.send(Event::RouterFailed(router.failed().await)).await;
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = Dispatcher::new(parts).run(events) => ended,
        never = tell_of_failure => never,
    };
    // The application is gone by now, so that nobody misses the router.
    let stopped = router.stop().await;
    let code = ended?;
    if code != exit::SURROUNDINGS {
        // What became of a router that has failed was told.
        stopped?;
    }
    reporter.report(&Report::Stopped).context("cannot write to stdout")?;
    Ok(code.into())
}

/// The application's configuration: documented in the `bis` crate, which refuses what it does not know.
fn config(running: &Running, listener: &PublicListener) -> serde_json::Value {
    serde_json::json!({
        "http": { "address": listener.address().to_string() },
        "broker": { "nsq": {
            "address": running.router,
            "http": format!("http://{}", running.router_http),
        } },
    })
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
