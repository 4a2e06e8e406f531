//! The public port. The command holds the listening socket for its whole life and passes it on, so that connections that
//! arrive during a handover wait in the one queue from which every process of the app accepts.
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

    /// The address of the listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requested port, if it was taken.
    pub(crate) fn taken_port(&self) -> Option<u16> {
        (self.wanted != 0 && self.wanted != self.address.port()).then_some(self.wanted)
    }

    /// A duplicate of the socket, for a process of the app.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }
}
