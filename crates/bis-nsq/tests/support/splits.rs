//! What must hold for decoding, whatever the bytes are and however they are split. The tests and the fuzz target share it.

use bis_nsq::{Command, Decoder, Frame, Limits, cut_off, decode_frame};
use bytes::BytesMut;

/// Small, so that a few bytes reach every bound.
const LIMITS: Limits = Limits {
    max_message_bytes: 64,
    max_body_bytes: 256,
    max_rdy_count: 100,
    max_requeue_delay: std::time::Duration::from_secs(60),
    extensions: true,
    max_stranger_bytes: None,
};
/// More room than this is never requested: a line, a length and the largest body.
const MOST_ROOM: usize = 4 * (Limits::MAX_LINE_BYTES + 4 + 256);

/// Decodes the bytes as commands and as frames, at once and split into pieces of the given lengths, which repeat.
pub fn check(bytes: &[u8], cuts: &[u8]) {
    let whole = commands(bytes, &[]);
    assert_eq!(whole, commands(bytes, cuts), "commands, cut");
    assert_eq!(frames(bytes, &[]), frames(bytes, cuts), "frames, cut");
}

fn commands(bytes: &[u8], cuts: &[u8]) -> Vec<Result<Command, String>> {
    let mut found = Vec::new();
    let mut buffer = BytesMut::new();
    let mut decoder = Decoder::default();
    for piece in pieces(bytes, cuts) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer, &LIMITS, |_| Ok(())) {
                Ok(Some(command)) => found.push(Ok(command)),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.is_fatal(), "{error}");
                    found.push(Err(error.to_string()));
                    return found;
                }
            }
        }
        assert!(buffer.capacity() - buffer.len() <= MOST_ROOM + 2 * bytes.len(), "the room is bounded");
    }
    found.extend(cut_off(&buffer, &LIMITS).map(|error| Err(error.to_string())));
    found
}

fn frames(bytes: &[u8], cuts: &[u8]) -> Vec<Result<Frame, String>> {
    let mut found = Vec::new();
    let mut buffer = BytesMut::new();
    for piece in pieces(bytes, cuts) {
        buffer.extend_from_slice(piece);
        loop {
            match decode_frame(&mut buffer, 256) {
                Ok(Some(frame)) => found.push(Ok(frame)),
                Ok(None) => break,
                Err(error) => {
                    found.push(Err(error.to_string()));
                    return found;
                }
            }
        }
    }
    found
}

/// The bytes in pieces of these lengths, which repeat; in one piece if there are none.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths.next().map_or(bytes.len(), |length| usize::from(*length).max(1));
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
