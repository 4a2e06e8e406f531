//! Tells the process that started this one that it is ready, and later that it accepts no more connections: lines of JSON on the
//! file descriptor that `BIS_READY_FD` names.

use std::{fs::OpenOptions, io, io::Write, net::SocketAddr};

use bis_core::handover::{Progress, READY_FD};

/// Says that the process is ready, if somebody waits for it, and where it can be reached.
pub(super) fn tell(addresses: &[(&'static str, SocketAddr)]) -> io::Result<()> {
    let url = |(name, address): &(&str, SocketAddr)| ((*name).to_owned(), format!("http://{address}"));
    write(&Progress::Ready { addresses: addresses.iter().map(url).collect() })
}

/// Says that the listener that was handed over is closed here: the process that has it now gets every new connection.
pub(super) fn tell_draining() -> io::Result<()> {
    write(&Progress::Draining)
}

/// Writes a line, if somebody reads. The descriptor is opened anew by its path in `/dev/fd`, which needs no unsafe code; the
/// inherited one stays open until the process ends, so the reader must read lines, not to the end.
fn write(line: &Progress) -> io::Result<()> {
    let Ok(text) = std::env::var(READY_FD) else { return Ok(()) };
    let number: u32 = text.trim().parse().map_err(|_| {
        io::Error::other(format!("`{READY_FD}` is `{text}`, which is not the number of a file descriptor"))
    })?;
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    OpenOptions::new().write(true).open(format!("/dev/fd/{number}"))?.write_all(&line)
}
