//! Writing to the terminal: the few colours that there are, and lines on stdout that survive a closed pipe.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// The word `error`.
pub(crate) const BOLD_RED: Style = AnsiColor::Red.on_default().bold();
/// The word `warning`.
pub(crate) const BOLD_YELLOW: Style = AnsiColor::Yellow.on_default().bold();
/// Progress that went well, as cargo shows it.
pub(crate) const BOLD_GREEN: Style = AnsiColor::Green.on_default().bold();
/// The word `help`, and addresses.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
/// What matters in a line of text.
pub(crate) const BOLD: Style = Style::new().bold();

/// Writes text to stdout as it is. A reader that went away (`bis topic ls | head -1`) is not an error.
pub(crate) fn text(text: &str) -> io::Result<()> {
    forgive_closed_pipe(write_and_flush(text))
}

/// Writes one JSON value and a line end to stdout.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    text(&line)
}

/// `noun`, with an `s` unless there is one of it.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

fn write_and_flush(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
