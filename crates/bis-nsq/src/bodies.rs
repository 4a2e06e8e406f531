//! The messages of one `MPUB`: found in the bytes that they came in, and kept there. Nothing is allocated per message;
//! otherwise a command of one-byte messages would take many times its size in memory.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{ErrorCode, Limits, ProtocolError};

/// The bodies of several messages, each prefixed with its length, as in an `MPUB` on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Bodies {
    /// For each message, its size as an i32 and that many bytes; already checked.
    bytes: Bytes,
    count: usize,
}

impl Bodies {
    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no messages; a decoded command has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The total size of the bodies in bytes, without their length prefixes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len() - 4 * self.count
    }

    /// Iterates over the bodies in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone + Send {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (size, after) = rest.split_first_chunk::<4>()?;
            let (body, after) = after.split_at_checked(u32::from_be_bytes(*size) as usize)?;
            rest = after;
            Some(body)
        })
    }

    /// Takes the count and the messages off the front of `bytes`, and leaves what follows them.
    ///
    /// # Errors
    /// nsqd's error for a wrong count or length, or for bytes that end too early.
    pub fn decode(bytes: &mut Bytes, limits: &Limits) -> Result<Self, ProtocolError> {
        let mut scan = Scan::default();
        if let Some(lack) = scan.advance(bytes, limits)? {
            return Err(scan.cut_off(&lack));
        }
        let messages = bytes.split_to(scan.bytes()).slice(4..);
        Ok(scan.bodies(messages))
    }

    /// Appends the count and the messages, as they follow the length of an `MPUB`.
    pub(crate) fn encode(&self, buffer: &mut BytesMut) {
        buffer.reserve(4 + self.bytes.len());
        buffer.put_u32(u32::try_from(self.count).expect("a command is bounded far below 2 GiB"));
        buffer.put_slice(&self.bytes);
    }

    /// How many bytes [`Bodies::encode`] appends.
    pub(crate) fn encoded_bytes(&self) -> usize {
        4 + self.bytes.len()
    }
}

/// Copies the bodies.
impl<B: AsRef<[u8]>> FromIterator<B> for Bodies {
    fn from_iter<I: IntoIterator<Item = B>>(bodies: I) -> Self {
        let mut bytes = BytesMut::new();
        let mut count = 0;
        for body in bodies {
            let body = body.as_ref();
            bytes.put_u32(u32::try_from(body.len()).expect("bodies are bounded far below 2 GiB"));
            bytes.put_slice(body);
            count += 1;
        }
        Self { bytes: bytes.freeze(), count }
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(Bytes::copy_from_slice)).finish()
    }
}

/// How far the messages of an `MPUB` have been scanned, so that nothing is scanned twice while the rest arrives. Like nsqd,
/// it relies on the count and the messages' lengths: the total length, which published clients get wrong, does not determine
/// where the command ends.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The number of messages, once it has arrived.
    count: Option<usize>,
    /// How many have been scanned.
    seen: usize,
    /// How many bytes they take, including the count.
    at: usize,
}

/// What is missing at the end of the bytes.
pub(crate) enum Lack {
    Count,
    Size,
    Body,
}

impl Scan {
    /// Continues the scan in `bytes`, which begin with the count; what was scanned before must still be there. The error is
    /// nsqd's, and comes as early as nsqd's.
    pub(crate) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Lack>, ProtocolError> {
        let count = match self.count {
            Some(count) => count,
            None => {
                let Some(count) = bytes.first_chunk::<4>() else { return Ok(Some(Lack::Count)) };
                self.at = 4;
                *self.count.insert(message_count(i32::from_be_bytes(*count), limits)?)
            }
        };
        while self.seen < count {
            let rest = &bytes[self.at..];
            let Some((size, rest)) = rest.split_first_chunk::<4>() else { return Ok(Some(Lack::Size)) };
            let size = self.message_size(i32::from_be_bytes(*size), limits)?;
            if rest.len() < size {
                return Ok(Some(Lack::Body));
            }
            self.at += 4 + size;
            self.seen += 1;
        }
        Ok(None)
    }

    /// The number of bytes, including the count: all of them, or those scanned so far.
    pub(crate) fn bytes(&self) -> usize {
        self.at
    }

    /// The messages that were found in `bytes`, which begin after the count.
    pub(crate) fn bodies(self, bytes: Bytes) -> Bodies {
        Bodies { bytes, count: self.seen }
    }

    /// nsqd's error when no more bytes come.
    pub(crate) fn cut_off(&self, lack: &Lack) -> ProtocolError {
        match lack {
            Lack::Count => ProtocolError::new(ErrorCode::BadBody, "MPUB failed to read message count"),
            Lack::Size => bad(format!("MPUB failed to read message({}) body size", self.seen)),
            Lack::Body => bad("MPUB failed to read message body".to_owned()),
        }
    }

    fn message_size(&self, claimed: i32, limits: &Limits) -> Result<usize, ProtocolError> {
        let size = usize::try_from(claimed).ok().filter(|size| *size > 0);
        let size =
            size.ok_or_else(|| bad(format!("MPUB invalid message({}) body size {claimed}", self.seen)))?;
        if size > limits.max_message_bytes {
            return Err(bad(format!("MPUB message too big {size} > {}", limits.max_message_bytes)));
        }
        // nsqd has no such error: it takes as many bytes as the messages claim, whatever the total length says.
        let total = self.at.saturating_sub(4 + 4 * self.seen) + size;
        if total > limits.max_body_bytes {
            let text = format!("MPUB body too big {total} > {}", limits.max_body_bytes);
            return Err(ProtocolError::new(ErrorCode::BadBody, text));
        }
        Ok(size)
    }
}

fn message_count(claimed: i32, limits: &Limits) -> Result<usize, ProtocolError> {
    // The count itself takes 4 bytes, each message at least 5.
    let most = limits.max_body_bytes.saturating_sub(4) / 5;
    usize::try_from(claimed).ok().filter(|count| *count > 0 && *count <= most).ok_or_else(|| {
        ProtocolError::new(ErrorCode::BadBody, format!("MPUB invalid message count {claimed}"))
    })
}

fn bad(text: String) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadMessage, text)
}
