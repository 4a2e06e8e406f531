//! What the router and the NSQ client log, on stderr: warnings, and for `bis router` also what it does.

use std::io::IsTerminal;

use bis_router::{LogLevel, LogSwitch};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::router::LogFormat;
use crate::arguments::{Arguments, Command};

/// Shows logs from here on. `bis router` begins its own log, with [`start_router`].
pub(crate) fn start(arguments: &Arguments) {
    if matches!(arguments.command, Command::Router(_)) {
        return;
    }
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Shows the router's log from here on, as much as the switch says at each moment.
pub(crate) fn start_router(switch: &LogSwitch, format: LogFormat) {
    let switch = switch.clone();
    let filter = dynamic_filter_fn(move |metadata, _| *metadata.level() <= most_detailed(switch.level()))
        .with_max_level_hint(LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

fn most_detailed(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    }
}
