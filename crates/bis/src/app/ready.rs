//! Tells whoever started the process that it is ready, and later that it accepts no more connections: lines of JSON on the
//! file descriptor that `BIS_READY_FD` names.

use std::{collections::BTreeMap, fs::OpenOptions, io, io::Write, net::SocketAddr};

use serde_json::{Value, json};

/// The environment variable that names the descriptor.
const VARIABLE: &str = "BIS_READY_FD";

/// Says that the process is ready, if somebody waits for it, and where it can be reached.
pub(super) fn tell(addresses: &[(&'static str, SocketAddr)]) -> io::Result<()> {
    let urls = addresses.iter().map(|(name, address)| (*name, json!(format!("http://{address}"))));
    write(&[("event", json!("ready"))].into_iter().chain(urls).collect())
}

/// Says that the listener that was handed over is closed here: whoever has it now gets every new connection.
pub(super) fn tell_draining() -> io::Result<()> {
    write(&[("event", json!("draining"))].into_iter().collect())
}

/// Writes a line, if somebody reads. The descriptor is opened anew by its path in `/dev/fd`, which needs no unsafe code; the
/// inherited one stays open until the process ends, so the reader must read lines, not to the end.
fn write(line: &BTreeMap<&str, Value>) -> io::Result<()> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let number: u32 = text.trim().parse().map_err(|_| {
        io::Error::other(format!("`{VARIABLE}` is `{text}`, which is not the number of a file descriptor"))
    })?;
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    OpenOptions::new().write(true).open(format!("/dev/fd/{number}"))?.write_all(&line)
}
