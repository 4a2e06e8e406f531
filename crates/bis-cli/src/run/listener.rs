//! The public port. The command holds the listening socket for its whole life and passes it on, so that connections that
//! arrive during a handover wait in one queue that every process of the app accepts from.
//!
//! Nothing here ever accepts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

/// A listening socket on the loopback address.
#[derive(Debug)]
pub(crate) struct PublicListener {
    socket: TcpListener,
    address: SocketAddr,
    wanted: u16,
}

impl PublicListener {
    /// Listens on `port`, or on a free one when it is taken.
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let socket = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            }
            other => other?,
        };
        let address = socket.local_addr()?;
        Ok(Self { socket, address, wanted: port })
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that was asked for, when it was taken.
    pub(crate) fn taken_port(&self) -> Option<u16> {
        (self.wanted != 0 && self.wanted != self.address.port()).then_some(self.wanted)
    }

    /// The same socket once more, for a process of the app.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }
}
