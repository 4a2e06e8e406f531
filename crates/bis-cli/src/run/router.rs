//! The event router of `bis run`, in this process: its journal lies in the application's state folder.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use bis_router::{Damage, Handle, Options, Router};

use crate::print::BOLD_YELLOW;

/// A router that lives until [`LocalRouter::stop`].
#[derive(Debug)]
pub(crate) struct LocalRouter {
    handle: Handle,
    wanted: [u16; 2],
}

impl LocalRouter {
    /// Starts a router on `port`, with its HTTP API on the port after it; each is replaced by a free one when it is taken.
    pub(crate) async fn start(data: &Path, port: u16) -> Result<Self> {
        // Port 0 has no next one: both are any free ones.
        let wanted = [port, if port == 0 { 0 } else { port.checked_add(1).unwrap_or(0) }];
        let mut options = Options::new(data);
        options.tcp_address = free_address(wanted[0])?;
        options.http_address = free_address(wanted[1])?;
        let handle = Router::start(options).await.context("cannot start the router")?;
        warn_of_damage(&handle);
        Ok(Self { handle, wanted })
    }

    /// Where NSQ clients connect.
    pub(crate) fn tcp_address(&self) -> SocketAddr {
        self.handle.tcp_address()
    }

    /// Where the HTTP API answers.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.handle.http_address()
    }

    /// Ports that were taken, each with the one in its place.
    pub(crate) fn replaced_ports(&self) -> Vec<(u16, u16)> {
        let used = [self.tcp_address().port(), self.http_address().port()];
        let pairs = self.wanted.into_iter().zip(used);
        pairs.filter(|(wanted, used)| *wanted != 0 && wanted != used).collect()
    }

    /// Resolves when the router accepts nothing any more, with the reason.
    pub(crate) async fn failed(&self) -> String {
        self.handle.failed().await.to_string()
    }

    /// Closes connections and journal.
    pub(crate) async fn stop(self) -> Result<()> {
        self.handle.shutdown().await.context("cannot stop the router")
    }
}

/// Tells of journal parts that recovery had to set aside.
pub(crate) fn warn_of_damage(handle: &Handle) {
    for damage in handle.damage() {
        let Damage { segment, offset, bytes } = damage;
        anstream::eprintln!(
            "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the router's journal is damaged: up to {bytes} bytes of segment {segment} \
             from byte {offset} on were set aside"
        );
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
