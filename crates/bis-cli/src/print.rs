//! Writing to the terminal: the few colours that there are, and lines on stdout that survive a closed pipe.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use anstyle::{AnsiColor, Style};
use bis_core::text::OneLine;
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

/// Writes text to stderr in one piece, so that nothing of another process comes in between. A reader that went away is not
/// an error.
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

/// JSON without its line ends, which are white space: what was embedded as it is may have some.
pub(crate) fn on_one_line(json: String) -> String {
    json.replace(['\n', '\r'], " ")
}

/// A text from outside (an id, a key, an error, a name on the router) as people are shown it: on one line, and without what a
/// terminal obeys. Everything that people read goes through here, through [`shown_lines`] or through a table.
pub(crate) fn shown(text: &str) -> OneLine<'_> {
    OneLine(text)
}

/// As [`shown`], for a text whose line ends are meant: each line is indented by `indent`.
pub(crate) fn shown_lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{indent}{}", shown(line))).collect();
    lines.join("\n")
}

/// A path as it is shown: from the current folder, where that is shorter.
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

/// The way from one folder to a path; both are absolute.
fn relative(path: &Path, from: &Path) -> PathBuf {
    let common = path.components().zip(from.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(common)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
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
