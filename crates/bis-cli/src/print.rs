//! Writes to the terminal: the few colours in use, and lines on stdout that survive a closed pipe.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use anstyle::{AnsiColor, Style};
use bis_core::text::OneLine;
use serde::Serialize;

/// The word `error`.
pub(crate) const BOLD_RED: Style = AnsiColor::Red.on_default().bold();
/// The word `warning`.
pub(crate) const BOLD_YELLOW: Style = AnsiColor::Yellow.on_default().bold();
/// Successful progress, as cargo shows it.
pub(crate) const BOLD_GREEN: Style = AnsiColor::Green.on_default().bold();
/// The word `help`, and addresses.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
/// The important part of a line.
pub(crate) const BOLD: Style = Style::new().bold();

/// Writes text to stdout unchanged. A closed pipe (`bis topic ls | head -1`) is not an error.
pub(crate) fn text(text: &str) -> io::Result<()> {
    forgive_closed_pipe(write_and_flush(text))
}

/// Writes text to stderr in one piece, so that no output of another process comes in between. A closed pipe is not an
/// error.
pub(crate) fn note(text: &str) {
    let choice = anstream::AutoStream::choice(&io::stderr());
    let mut piece = anstream::AutoStream::new(Vec::new(), choice);
    let _ = piece.write_all(text.as_bytes());
    let _ = io::stderr().write_all(&piece.into_inner());
}

/// Writes one JSON value and a line end to stdout.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut line = on_one_line(serde_json::to_string(value)?);
    line.push('\n');
    text(&line)
}

/// JSON without its line ends, which are white space: embedded raw JSON may contain some.
pub(crate) fn on_one_line(json: String) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Formats a text from outside (an id, a key, an error, a name on the router) for people: on one line, and without control
/// characters. Everything that people read goes through here, through [`shown_lines`] or through a table.
pub(crate) fn shown(text: &str) -> OneLine<'_> {
    OneLine(text)
}

/// Like [`shown`], for a text that keeps its line ends: each line is indented by `indent`.
pub(crate) fn shown_lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{indent}{}", shown(line))).collect();
    lines.join("\n")
}

/// A path for display: relative to the current folder where that is shorter.
pub(crate) fn path(path: &Path) -> String {
    let whole = path.display().to_string();
    match std::env::current_dir().and_then(|current| current.canonicalize()) {
        Ok(current) => {
            let short = relative(path, &current).display().to_string();
            if short.chars().count() < whole.chars().count() { short } else { whole }
        }
        Err(_) => whole,
    }
}

/// The relative path from a folder to a path; both are absolute.
fn relative(path: &Path, from: &Path) -> PathBuf {
    let common = path.components().zip(from.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(common)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

/// `noun`, with an `s` unless the count is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_are_told_from_our_own() {
        assert_eq!(shown_lines("no\u{1b}[2J\nerror: forged\r\n", "  "), "  no\\u{1b}[2J\n  error: forged");
    }

    #[test]
    fn paths_lead_from_the_current_folder() {
        let check = |path: &str, expected: &str| {
            assert_eq!(relative(Path::new(path), Path::new("/home/me/shop")), Path::new(expected));
        };
        check("/home/me/shop/.bis/default", ".bis/default");
        check("/home/me/shop", ".");
        check("/home/me/cart", "../cart");
        check("/tmp/x", "../../../tmp/x");
    }
}
