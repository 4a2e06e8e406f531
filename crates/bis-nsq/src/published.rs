//! What the server says about a message that it has accepted, and its bytes: `OK`, then what the publisher asked
//! for with [`Headers::wants_receipt`](crate::Headers::wants_receipt): the message's sequence where the server
//! knows it, and `duplicate` when the event was already known.

use crate::OK;

const DUPLICATE: &str = "duplicate";

/// The server has the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Its sequence in the topic.
    pub sequence: Option<u64>,
    /// Whether its event was already known, so that it was not stored again; the sequence is where it was stored before.
    pub is_duplicate: bool,
}

impl Published {
    /// The response's data.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = OK.to_vec();
        if let Some(sequence) = self.sequence {
            bytes.extend_from_slice(format!(" {sequence}").as_bytes());
        }
        if self.is_duplicate {
            bytes.push(b' ');
            bytes.extend_from_slice(DUPLICATE.as_bytes());
        }
        bytes
    }

    /// Reads a response's data; `None` when it is another response. Unknown words are ignored, for later versions.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(data.strip_prefix(OK)?).ok()?;
        if !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        let mut published = Self::default();
        for word in rest.split(' ') {
            match word.parse() {
                Ok(sequence) => published.sequence = Some(sequence),
                Err(_) => published.is_duplicate |= word == DUPLICATE,
            }
        }
        Some(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        for (sequence, is_duplicate, text) in [
            (None, false, "OK"),
            (Some(0), false, "OK 0"),
            (Some(u64::MAX), true, "OK 18446744073709551615 duplicate"),
            (None, true, "OK duplicate"),
        ] {
            let published = Published { sequence, is_duplicate };
            assert_eq!(published.to_bytes(), text.as_bytes());
            assert_eq!(Published::parse(text.as_bytes()), Some(published));
        }
        assert_eq!(
            Published::parse(b"OK 7 later"),
            Some(Published { sequence: Some(7), is_duplicate: false })
        );
        for other in ["", "O", "OKAY", "_heartbeat_", "CLOSE_WAIT"] {
            assert_eq!(Published::parse(other.as_bytes()), None, "{other}");
        }
    }
}
