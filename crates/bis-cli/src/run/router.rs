//! The event router of `bis run`, in this process; its journal is in the app's state folder.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bis_router::{Handle, Options, Router};
use tokio::sync::{mpsc, oneshot};

use crate::print::BOLD_YELLOW;
use crate::run::chaos::Restarts;
use crate::run::event::Event;
use crate::run::part::Part;

/// A router that is ready.
#[derive(Debug)]
pub(crate) struct LocalRouter {
    handle: Handle,
    options: Options,
    wanted: [u16; 2],
    /// The restarts, if chaos asks for them.
    restarts: Option<Restarts>,
}

impl LocalRouter {
    /// Starts a router on `port`, with its HTTP API on the port after it; each is replaced by a free one if it is taken.
    pub(crate) async fn start(data: &Path, port: u16, restarts: Option<Restarts>) -> Result<Self> {
        // Port 0 has no next port: both are arbitrary free ones.
        let wanted = [port, if port == 0 { 0 } else { port.checked_add(1).unwrap_or(0) }];
        let mut options = Options::new(data);
        options.tcp_address = free_address(wanted[0])?;
        options.http_address = free_address(wanted[1])?;
        let handle = Router::start(options.clone()).await.context("cannot start the router")?;
        warn_of_damage(&handle);
        options.tcp_address = handle.tcp_address();
        options.http_address = handle.http_address();
        Ok(Self { handle, options, wanted, restarts })
    }

    /// Closes connections and journal, and starts again with the same journal at the same addresses.
    async fn restart(self, gone: Duration) -> Result<Self> {
        let Self { handle, options, wanted, restarts } = self;
        handle.shutdown().await.context("cannot stop the router")?;
        tokio::time::sleep(gone).await;
        let handle = Router::start(options.clone()).await.context("cannot start the router again")?;
        Ok(Self { handle, options, wanted, restarts })
    }

    /// Where NSQ clients connect.
    pub(crate) fn tcp_address(&self) -> SocketAddr {
        self.handle.tcp_address()
    }

    /// Where the HTTP API answers.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.handle.http_address()
    }

    /// Ports that were taken, each with its replacement.
    pub(crate) fn replaced_ports(&self) -> Vec<(u16, u16)> {
        let used = [self.tcp_address().port(), self.http_address().port()];
        let pairs = self.wanted.into_iter().zip(used);
        pairs.filter(|(wanted, used)| *wanted != 0 && wanted != used).collect()
    }

    /// Resolves when the router no longer accepts anything, with the reason.
    async fn failed(&self) -> String {
        self.handle.failed().await.to_string()
    }

    /// Closes connections and journal.
    async fn stop(self) -> Result<()> {
        self.handle.shutdown().await.context("cannot stop the router")
    }
}

impl Part for LocalRouter {
    const NAME: &'static str = "router";

    /// Restarts when chaos asks for it, and reports restarts and failures.
    async fn live(mut self, events: mpsc::Sender<Event>, mut stop: oneshot::Receiver<()>) -> Result<()> {
        let mut restarts = self.restarts.take();
        loop {
            let due = async {
                match &mut restarts {
                    Some(restarts) => {
                        tokio::time::sleep(restarts.runs_for()).await;
                        restarts.gone_for()
                    }
                    None => std::future::pending().await,
                }
            };
            let gone = tokio::select! {
                // A dropped sender means the same.
                _ = &mut stop => return self.stop().await,
                reason = self.failed() => {
                    // A closed queue means that the loop has ended.
                    let _ = events.send(Event::PartFailed { part: Self::NAME, reason }).await;
                    let _ = stop.await;
                    return self.stop().await;
                }
                gone = due => gone,
            };
            // Reported first, so that readers of the log know why connections break.
            let milliseconds = gone.as_millis();
            let (told, heard) = oneshot::channel();
            let _ = events.send(Event::RouterRestarts { milliseconds, told }).await;
            tokio::select! {
                _ = heard => {}
                _ = &mut stop => return self.stop().await,
            }
            self = match self.restart(gone).await {
                Ok(restarted) => restarted,
                Err(error) => {
                    let _ = events
                        .send(Event::PartFailed { part: Self::NAME, reason: format!("{error:#}") })
                        .await;
                    let _ = stop.await;
                    return Ok(());
                }
            };
            let _ = events.send(Event::RouterRestarted { milliseconds }).await;
        }
    }
}

/// Reports parts of the journal that recovery had to set aside.
pub(crate) fn warn_of_damage(handle: &Handle) {
    for damage in handle.damage() {
        anstream::eprintln!("{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the router's journal is damaged: {damage}");
    }
}

/// The loopback address with this port, or with any free one when it is taken.
fn free_address(port: u16) -> Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(wanted),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok((Ipv4Addr::LOCALHOST, 0).into()),
        Err(error) => Err(error).with_context(|| format!("cannot listen on `{wanted}`")),
    }
}
