//! Tells whoever started the process that it is ready: one line of JSON on the file descriptor that `BIS_READY_FD` names.

use std::{fs::OpenOptions, io, io::Write, net::SocketAddr};

use serde::Serialize;

/// The environment variable that names the descriptor.
const VARIABLE: &str = "BIS_READY_FD";

#[derive(Serialize)]
struct Ready {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal: Option<String>,
}

/// Writes the line, if somebody waits for it. The descriptor is opened anew by its path in `/dev/fd`, which needs no
/// unsafe code; the inherited one stays open until the process ends, so the reader must read a line, not to the end.
pub(super) fn tell(public: Option<SocketAddr>, internal: Option<SocketAddr>) -> io::Result<()> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let number: u32 = text.trim().parse().map_err(|_| {
        io::Error::other(format!("`{VARIABLE}` is `{text}`, which is not the number of a file descriptor"))
    })?;
    let url = |address: SocketAddr| format!("http://{address}");
    let ready = Ready { event: "ready", app: public.map(url), internal: internal.map(url) };
    let mut line = serde_json::to_vec(&ready)?;
    line.push(b'\n');
    OpenOptions::new().write(true).open(format!("/dev/fd/{number}"))?.write_all(&line)
}
