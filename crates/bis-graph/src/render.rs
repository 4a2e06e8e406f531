//! Diagnostics as text, in rustc's form: code and message, each place with its line and carets, then the remedy.
//!
//! Only source texts that it is given are shown; it reads no file and does not know whether it writes to a terminal.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use crate::{Diagnostic, Position, Severity};

/// The source texts by file, as positions name them. A file that is not there is shown without its line.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: HashMap<Arc<str>, Arc<str>>,
}

impl Sources {
    /// Adds a file.
    pub fn insert(&mut self, file: impl Into<Arc<str>>, text: impl Into<Arc<str>>) {
        self.texts.insert(file.into(), text.into());
    }

    /// A file's text.
    pub fn text(&self, file: &str) -> Option<&str> {
        self.texts.get(file).map(|text| &**text)
    }
}

/// Whether text holds ANSI colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// With ANSI escapes.
    Always,
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";

/// Renders one diagnostic, ending in a line break.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, colour: Colour) -> String {
    let painter = Painter { colour };
    let tone = match diagnostic.severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    };
    let mut out = String::new();
    let head = format!("{}[{}]", diagnostic.severity.as_str(), diagnostic.code);
    let message = format!(": {}", diagnostic.message);
    let _ = writeln!(out, "{}{}", painter.paint(tone, &head), painter.paint(BOLD, &message));

    let places = places(diagnostic);
    let width = places.iter().map(|place| place.position.line.to_string().len()).max().unwrap_or(1);
    let mut previous: Option<&Position> = None;
    for place in &places {
        let follows = previous.is_some_and(|previous| previous.file == place.position.file);
        excerpt(&mut out, place, follows.then_some(previous).flatten(), width, tone, sources, painter);
        previous = Some(place.position);
    }
    if let Some(help) = &diagnostic.help {
        let gutter = " ".repeat(width);
        if !places.is_empty() {
            let _ = writeln!(out, "{gutter} {}", painter.paint(BLUE, "|"));
        }
        let _ =
            writeln!(out, "{gutter} {} {}: {help}", painter.paint(BLUE, "="), painter.paint(CYAN, "help"));
    }
    out
}

/// Renders all, with an empty line after each.
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, colour: Colour) -> String {
    diagnostics.iter().map(|diagnostic| render(diagnostic, sources, colour) + "\n").collect()
}

struct Place<'a> {
    position: &'a Position,
    message: &'a str,
    primary: bool,
}

/// The places, those of the primary's file in the order of lines, then those of other files.
fn places(diagnostic: &Diagnostic) -> Vec<Place<'_>> {
    let Some(primary) = &diagnostic.position else { return Vec::new() };
    let mut places = vec![Place { position: primary, message: &diagnostic.label, primary: true }];
    for label in &diagnostic.labels {
        places.push(Place { position: &label.position, message: &label.message, primary: false });
    }
    places.sort_by_key(|place| {
        let same_file = place.position.file == primary.file;
        (!same_file, if same_file { None } else { Some(&place.position.file) }, place.position.line)
    });
    places
}

#[derive(Clone, Copy)]
struct Painter {
    colour: Colour,
}

impl Painter {
    fn paint(self, tone: &str, text: &str) -> String {
        match self.colour {
            Colour::Never => text.to_owned(),
            Colour::Always => format!("{tone}{text}\x1b[0m"),
        }
    }
}

/// The longest line that is shown. What is longer was written by a program, and fills the screen.
const MAX_LINE: usize = 1_000;

fn excerpt(
    out: &mut String,
    place: &Place<'_>,
    previous: Option<&Position>,
    width: usize,
    tone: &str,
    sources: &Sources,
    painter: Painter,
) {
    let gutter = " ".repeat(width);
    let bar = painter.paint(BLUE, "|");
    let position = place.position;
    match previous {
        Some(previous) if position.line == previous.line + 1 => {}
        Some(previous) if position.line == previous.line => {}
        Some(_) => {
            let _ = writeln!(out, "{}", painter.paint(BLUE, "..."));
        }
        None => {
            let arrow = if out.lines().count() > 1 { ":::" } else { "-->" };
            let _ = writeln!(out, "{gutter}{} {position}", painter.paint(BLUE, arrow));
            let _ = writeln!(out, "{gutter} {bar}");
        }
    }
    let line = sources
        .text(&position.file)
        .and_then(|text| text.lines().nth(usize::try_from(position.line).ok()?.checked_sub(1)?))
        .filter(|line| line.len() <= MAX_LINE);
    let Some(line) = line else {
        if !place.message.is_empty() {
            let _ = writeln!(out, "{gutter} {} {}", painter.paint(BLUE, "="), place.message);
        }
        return;
    };
    let number = format!("{:>width$}", position.line);
    if previous.is_none_or(|previous| previous.line != position.line) {
        let _ = writeln!(out, "{} {bar} {}", painter.paint(BLUE, &number), line.replace('\t', "    "));
    }
    let (mark, tone) = if place.primary { ("^", tone) } else { ("-", BLUE) };
    let (indent, length) = caret_span(line, position);
    let mut carets = mark.repeat(length);
    if !place.message.is_empty() {
        carets.push(' ');
        carets.push_str(place.message);
    }
    let _ = writeln!(out, "{gutter} {bar} {}{}", " ".repeat(indent), painter.paint(tone, &carets));
}

/// How far the carets are indented and how many there are, with tabs four wide.
fn caret_span(line: &str, position: &Position) -> (usize, usize) {
    let width = |c: char| if c == '\t' { 4 } else { 1 };
    let start = position.column.saturating_sub(1) as usize;
    let line_length = line.chars().count();
    let end = if position.end_line > position.line {
        line_length
    } else {
        (position.end_column.saturating_sub(1) as usize).min(line_length)
    };
    let indent = line.chars().take(start).map(width).sum();
    let length: usize = line.chars().take(end).skip(start).map(width).sum();
    (indent, length.max(1))
}
