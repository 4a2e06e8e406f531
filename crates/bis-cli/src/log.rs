//! Logs of the router and the NSQ client on stderr: warnings, and for `bis router` also its activity.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use bis_router::{LogLevel, LogSwitch};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::router::LogFormat;
use crate::arguments::{Arguments, Command};

/// Shows logs from now on. `bis router` starts its own log with [`start_router`].
pub(crate) fn start(arguments: &Arguments) {
    if matches!(arguments.command, Command::Router(_)) {
        return;
    }
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(Stderr::new)
        .init();
}

/// Shows the router's log from now on, at the level that the switch currently has.
pub(crate) fn start_router(switch: &LogSwitch, format: LogFormat) {
    let switch = switch.clone();
    let filter = dynamic_filter_fn(move |metadata, _| *metadata.level() <= most_detailed(switch.level()))
        .with_max_level_hint(LevelFilter::DEBUG);
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(Stderr::new);
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

/// Standard error, where each event is one line: control characters in values are escaped as in JSON.
struct Stderr {
    /// The escape sequences that colour a line are the log's own; those in values are escaped before.
    is_terminal: bool,
}

impl Stderr {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal() }
    }
}

impl Write for Stderr {
    /// Writes one complete event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(line(event, self.is_terminal).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn line(event: &[u8], has_colours: bool) -> String {
    let event = String::from_utf8_lossy(event);
    let (text, end) = event.strip_suffix('\n').map_or((&*event, ""), |text| (text, "\n"));
    let mut line = String::with_capacity(event.len());
    for character in text.chars() {
        match character {
            '\u{1b}' if has_colours => line.push(character),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\r' => line.push_str("\\r"),
            control if control.is_control() => {
                write!(line, "\\u{:04x}", u32::from(control)).expect("a text takes all");
            }
            plain => line.push(plain),
        }
    }
    line.push_str(end);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let event = "WARN gone error=a\nINFO forged\r\u{1b}[2J\u{9b}1m\u{7f}\t\0\n".as_bytes();
        let expected = "WARN gone error=a\\nINFO forged\\r\\u001b[2J\\u009b1m\\u007f\\t\\u0000\n";
        assert_eq!(line(event, false), expected);
        assert_eq!(line(b"\x1b[33mWARN\x1b[0m a\nb\n", true), "\u{1b}[33mWARN\u{1b}[0m a\\nb\n");
        assert_eq!(line(b"\xff\n", false), "\u{fffd}\n");
    }
}
