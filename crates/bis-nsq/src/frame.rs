//! What a server sends: `size i32 | type i32 | data`, big-endian; the size includes type and data.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{History, Message, MessageId};

const TYPE_RESPONSE: i32 = 0;
const TYPE_ERROR: i32 = 1;
const TYPE_MESSAGE: i32 = 2;
/// Bis's extension: `flags u8 | crashes u16 | generation u32`, then a message.
const TYPE_MESSAGE_WITH_HISTORY: i32 = 3;

const SIZE_BYTES: usize = 4;
const TYPE_BYTES: usize = 4;
const MESSAGE_FIELDS: usize = 8 + 2 + MessageId::BYTES;
const HISTORY_FIELDS: usize = 1 + 2 + 4;

const IS_SUSPECT: u8 = 1;

/// The bytes of a message frame before its body.
const MESSAGE_HEADER: usize = SIZE_BYTES + TYPE_BYTES + MESSAGE_FIELDS;

/// One frame from the server. Bodies share the buffer that they were read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The answer to a command, or a heartbeat.
    Response(Bytes),
    /// What went wrong; see [`ProtocolError::parse`](crate::ProtocolError::parse).
    Error(Bytes),
    /// A delivery.
    Message(Message),
}

/// Bytes that are not a frame; the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The size is negative, too small for its type, or over the reader's bound.
    #[error(
        "the server sent a frame of {size} bytes; is this the TCP address of an NSQ server (by default port 4150)?"
    )]
    Size {
        /// The size that the frame claims.
        size: i64,
    },
    /// The type is not known.
    #[error(
        "the server sent a frame of the unknown type {frame_type}; is this the TCP address of an NSQ server?"
    )]
    Type {
        /// The type that the frame claims.
        frame_type: i32,
    },
}

/// Takes one frame off the front of `buffer`; `None` when more bytes are needed (room for them is reserved).
///
/// `max_bytes` bounds what a frame may claim. Bodies are not copied.
pub fn decode_frame(buffer: &mut BytesMut, max_bytes: usize) -> Result<Option<Frame>, FrameError> {
    let Some(size) = buffer.first_chunk::<4>() else { return Ok(None) };
    let claimed = i32::from_be_bytes(*size);
    let size = usize::try_from(claimed).unwrap_or(0);
    if size < TYPE_BYTES || size > max_bytes {
        return Err(FrameError::Size { size: i64::from(claimed) });
    }
    if buffer.len() < SIZE_BYTES + size {
        buffer.reserve(SIZE_BYTES + size - buffer.len());
        return Ok(None);
    }
    let mut data = buffer.split_to(SIZE_BYTES + size).freeze();
    data.advance(SIZE_BYTES);
    match data.get_i32() {
        TYPE_RESPONSE => Ok(Some(Frame::Response(data))),
        TYPE_ERROR => Ok(Some(Frame::Error(data))),
        TYPE_MESSAGE if data.len() >= MESSAGE_FIELDS => {
            Ok(Some(Frame::Message(message(History::default(), data))))
        }
        TYPE_MESSAGE_WITH_HISTORY if data.len() >= HISTORY_FIELDS + MESSAGE_FIELDS => {
            let is_suspect = data.get_u8() & IS_SUSPECT != 0;
            let crashes = data.get_u16();
            let history = History { is_suspect, crashes, generation: data.get_u32() };
            Ok(Some(Frame::Message(message(history, data))))
        }
        TYPE_MESSAGE | TYPE_MESSAGE_WITH_HISTORY => Err(FrameError::Size { size: i64::from(claimed) }),
        frame_type => Err(FrameError::Type { frame_type }),
    }
}

fn message(history: History, mut data: Bytes) -> Message {
    let timestamp_ns = data.get_i64();
    let attempts = data.get_u16();
    let mut id = [0; MessageId::BYTES];
    data.copy_to_slice(&mut id);
    Message { timestamp_ns, attempts, id: MessageId::new(id), history, body: data }
}

/// Appends a response frame.
pub fn encode_response(buffer: &mut BytesMut, data: &[u8]) {
    encode(buffer, TYPE_RESPONSE, data);
}

/// Appends an error frame; `text` is code and description.
pub fn encode_error(buffer: &mut BytesMut, text: &str) {
    encode(buffer, TYPE_ERROR, text.as_bytes());
}

/// Appends a message frame, body included.
pub fn encode_message(buffer: &mut BytesMut, timestamp_ns: i64, attempts: u16, id: MessageId, body: &[u8]) {
    buffer.reserve(MESSAGE_HEADER + body.len());
    buffer.put_slice(&message_header(timestamp_ns, attempts, id, body.len()));
    buffer.put_slice(body);
}

/// The same with the message's history, for a client that asked for it.
pub fn encode_message_with_history(
    buffer: &mut BytesMut,
    history: History,
    timestamp_ns: i64,
    attempts: u16,
    id: MessageId,
    body: &[u8],
) {
    buffer.reserve(HISTORY_FIELDS + MESSAGE_HEADER + body.len());
    buffer.put_i32(frame_size(HISTORY_FIELDS + MESSAGE_FIELDS + body.len()));
    buffer.put_i32(TYPE_MESSAGE_WITH_HISTORY);
    buffer.put_u8(if history.is_suspect { IS_SUSPECT } else { 0 });
    buffer.put_u16(history.crashes);
    buffer.put_u32(history.generation);
    buffer.put_i64(timestamp_ns);
    buffer.put_u16(attempts);
    buffer.put_slice(id.as_bytes());
    buffer.put_slice(body);
}

/// A message frame up to its body, for writers that send the body without copying it.
#[must_use]
pub fn message_header(
    timestamp_ns: i64,
    attempts: u16,
    id: MessageId,
    body_bytes: usize,
) -> [u8; MESSAGE_HEADER] {
    let mut header = [0; MESSAGE_HEADER];
    let mut rest = &mut header[..];
    rest.put_i32(frame_size(MESSAGE_FIELDS + body_bytes));
    rest.put_i32(TYPE_MESSAGE);
    rest.put_i64(timestamp_ns);
    rest.put_u16(attempts);
    rest.put_slice(id.as_bytes());
    header
}

fn encode(buffer: &mut BytesMut, frame_type: i32, data: &[u8]) {
    buffer.reserve(SIZE_BYTES + TYPE_BYTES + data.len());
    buffer.put_i32(frame_size(data.len()));
    buffer.put_i32(frame_type);
    buffer.put_slice(data);
}

fn frame_size(data_bytes: usize) -> i32 {
    i32::try_from(TYPE_BYTES + data_bytes).expect("bodies are bounded far below 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_these_bytes() {
        let mut buffer = BytesMut::new();
        encode_response(&mut buffer, b"OK");
        encode_error(&mut buffer, "E_INVALID x");
        encode_message(&mut buffer, 1, 2, MessageId::new(*b"0123456789abcdef"), b"hi");
        assert_eq!(
            &buffer[..],
            b"\0\0\0\x06\0\0\0\0OK\
              \0\0\0\x0f\0\0\0\x01E_INVALID x\
              \0\0\0\x20\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x020123456789abcdefhi"
        );
    }

    #[test]
    fn frames_read_back_however_the_bytes_are_cut() {
        let mut sent = BytesMut::new();
        encode_response(&mut sent, b"_heartbeat_");
        encode_message(&mut sent, -5, 65535, MessageId::from_number(7), &[0, 255, b'\n']);
        let history = History { generation: 70_000, crashes: 65535, is_suspect: true };
        let (id, body) = (MessageId::from_number(7), &[0, 255, b'\n']);
        encode_message_with_history(&mut sent, history, -5, 65535, id, body);
        encode_error(&mut sent, "E_FIN_FAILED");
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for byte in sent {
            received.put_u8(byte);
            while let Some(frame) = decode_frame(&mut received, 1 << 20).unwrap() {
                frames.push(frame);
            }
        }
        let body = Bytes::from_static(&[0, 255, b'\n']);
        let id = MessageId::from_number(7);
        let message = Message { timestamp_ns: -5, attempts: 65535, id, history: History::default(), body };
        let history = History { generation: 70_000, crashes: 65535, is_suspect: true };
        let again = Message { history, ..message.clone() };
        assert_eq!(
            frames,
            [
                Frame::Response(Bytes::from_static(b"_heartbeat_")),
                Frame::Message(message),
                Frame::Message(again),
                Frame::Error(Bytes::from_static(b"E_FIN_FAILED")),
            ]
        );
        assert!(received.is_empty());
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let check = |bytes: &[u8]| decode_frame(&mut BytesMut::from(bytes), 1024).unwrap_err();
        assert_eq!(check(b"HTTP/1.1 400"), FrameError::Size { size: 0x4854_5450 });
        assert_eq!(check(&[0xff; 8]), FrameError::Size { size: -1 });
        assert_eq!(check(&[0, 0, 0, 3, 0, 0, 0]), FrameError::Size { size: 3 });
        assert_eq!(check(&[0, 0, 0, 4, 0, 0, 0, 9]), FrameError::Type { frame_type: 9 });
        assert_eq!(check(&[0, 0, 0, 5, 0, 0, 0, 2, 1]), FrameError::Size { size: 5 });
        assert_eq!(check(&[0, 0, 0, 5, 0, 0, 0, 3, 1]), FrameError::Size { size: 5 });
    }
}
