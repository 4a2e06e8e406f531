//! Bounds on texts that come from outside and may be of any length.

use std::borrow::Cow;

/// The most of an error's text that a dead letter and a line of the log hold, in bytes.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;

/// The text, cut to at most `max` bytes and a mark that says how much was cut.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max);
    Cow::Owned(format!("{} [{} more bytes were cut]", &text[..end], text.len() - end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_how_much() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcdef", 3), "abc [3 more bytes were cut]");
        assert_eq!(shortened("aéz", 2), "a [3 more bytes were cut]");
    }
}
