//! Tells whoever started the process that it is ready, and later that it accepts no more connections: lines of JSON on the
//! file descriptor that `BIS_READY_FD` names.

use std::{fs::OpenOptions, io, io::Write, net::SocketAddr};

use serde::Serialize;

/// The environment variable that names the descriptor.
const VARIABLE: &str = "BIS_READY_FD";

#[derive(Serialize)]
struct Line {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal: Option<String>,
}

/// Says that the process is ready, if somebody waits for it.
pub(super) fn tell(public: Option<SocketAddr>, internal: Option<SocketAddr>) -> io::Result<()> {
    let url = |address: SocketAddr| format!("http://{address}");
    write(&Line { event: "ready", app: public.map(url), internal: internal.map(url) })
}

/// Says that the listener that was handed over is closed here: whoever has it now gets every new connection.
pub(super) fn tell_draining() -> io::Result<()> {
    write(&Line { event: "draining", app: None, internal: None })
}

/// Writes a line, if somebody reads. The descriptor is opened anew by its path in `/dev/fd`, which needs no unsafe code; the
/// inherited one stays open until the process ends, so the reader must read lines, not to the end.
fn write(line: &Line) -> io::Result<()> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let number: u32 = text.trim().parse().map_err(|_| {
        io::Error::other(format!("`{VARIABLE}` is `{text}`, which is not the number of a file descriptor"))
    })?;
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    OpenOptions::new().write(true).open(format!("/dev/fd/{number}"))?.write_all(&line)
}
