//! What the router and the NSQ client log, on stderr: warnings, and for `bis router` also what it does.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Arguments, Command};

/// Shows logs from here on.
pub(crate) fn start(arguments: &Arguments) {
    let level = match arguments.command {
        Command::Router(_) => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
