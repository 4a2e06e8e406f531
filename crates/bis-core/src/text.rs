//! Texts from outside, made safe for a log or a terminal: of bounded length, and without control characters.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// The most that the mark at the end of a cut text takes, in bytes.
const MAX_MARK_BYTES: usize = 48;

/// The text, cut to at most `max` bytes, of which the last ones say how much was cut. A bound that is smaller than these
/// is exceeded.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max.saturating_sub(MAX_MARK_BYTES));
    Cow::Owned(format!("{} [{} more bytes were cut]", &text[..end], text.len() - end))
}

/// A text that displays on one line, whatever is in it: line ends, control characters and marks that turn the direction of
/// writing display as `\n`, `\r`, `\t` or their number, as in `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_obeyed) {
            let (plain, after) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = after.chars();
            match chars.next() {
                Some(character @ ('\n' | '\r' | '\t')) => write!(f, "{}", character.escape_debug())?,
                Some(character) => write!(f, "{}", character.escape_unicode())?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// Writes what is formatted into it as [`OneLine`] shows it.
#[derive(Debug)]
pub struct OneLineWriter<W>(pub W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write!(self.0, "{}", OneLine(text))
    }
}

/// Whether a terminal or an editor acts on this character instead of showing it.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_how_much() {
        assert_eq!(shortened("abc", 3), "abc");
        let long = format!("aé{}", "z".repeat(97));
        assert_eq!(shortened(&long, 50), "a [99 more bytes were cut]");
        assert_eq!(shortened(&long, 51), "aé [97 more bytes were cut]");
        assert_eq!(shortened(&long, 0), " [100 more bytes were cut]");
        let once = shortened(&long, 60).into_owned();
        assert_eq!(shortened(&once, 60), once, "what was cut is not cut again");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let text = "é \"x\\n\"\t\r\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}cba\u{2028}\0👩‍🚀";
        let shown = r#"é "x\n"\t\r\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}cba\u{2028}\u{0}👩‍🚀"#;
        assert_eq!(OneLine(text).to_string(), shown);
        let mut out = String::new();
        write!(OneLineWriter(&mut out), "{text}").unwrap();
        assert_eq!(out, shown);
    }
}
