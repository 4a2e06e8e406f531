//! The headers that travel beside a message's body in `HPUB`, and their bytes. This file never looks into the body.
//!
//! After `HPUB <topic>\n` comes the size of all that follows, an i32, and then, numbers being big-endian:
//!
//! | Bytes | Field |
//! |---|---|
//! | 1 | which fields follow: 1 = event id, 2 = ordering key, 4 = delay; 8 = a handler publishes it, 16 = the answer should be a receipt, both without a field; all other bits are 0 |
//! | 16 | what the event is recognized by: its id, if that is a UUID, otherwise 16 bytes derived from it |
//! | 4 + n | the length of the ordering key (i32) and its bytes, if it has one |
//! | 8 | the delay in milliseconds (u64), if it is not 0 |
//! | the rest | the body, at least one byte |

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{ErrorCode, Limits, ProtocolError};

const HAS_EVENT: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_DELAY: u8 = 4;
const IS_FROM_HANDLER: u8 = 8;
const WANTS_RECEIPT: u8 = 16;

/// What a publisher says about a message beside its body. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// What the event is recognized by when it is published again; zeros mean none.
    pub event: Option<[u8; 16]>,
    /// The ordering key: an ordered subscription gets messages with the same key one at a time and in order.
    pub key: Option<Bytes>,
    /// How long to wait before the message is delivered, in whole milliseconds.
    pub delay: Duration,
    /// Whether a handler publishes the message, and has to before it can settle its own: the server reserves room for these
    /// messages when it has none for others. Only to a server that offers [`FEATURE_RESERVE`](crate::FEATURE_RESERVE).
    pub is_from_handler: bool,
    /// Whether the answer should be a receipt, [`Published`](crate::Published), and not just `OK`. Only to a server that offers
    /// [`FEATURE_RECEIPT`](crate::FEATURE_RECEIPT).
    pub wants_receipt: bool,
}

impl Headers {
    /// The encoded size in bytes.
    pub(crate) fn len(&self) -> usize {
        let event = self.event.map_or(0, |_| 16);
        let key = self.key.as_ref().map_or(0, |key| 4 + key.len());
        let delay = if self.delay.is_zero() { 0 } else { 8 };
        1 + event + key + delay
    }

    pub(crate) fn encode(&self, buffer: &mut BytesMut) {
        let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        let fields = bit(self.event.is_some(), HAS_EVENT)
            | bit(self.key.is_some(), HAS_KEY)
            | bit(!self.delay.is_zero(), HAS_DELAY)
            | bit(self.is_from_handler, IS_FROM_HANDLER)
            | bit(self.wants_receipt, WANTS_RECEIPT);
        buffer.put_u8(fields);
        if let Some(event) = &self.event {
            buffer.put_slice(event);
        }
        if let Some(key) = &self.key {
            buffer.put_i32(i32::try_from(key.len()).expect("keys are bounded far below 2 GiB"));
            buffer.put_slice(key);
        }
        if !self.delay.is_zero() {
            buffer.put_u64(whole_millis(self.delay));
        }
    }

    /// Takes the headers off the front of `rest` and leaves the body, which is not empty and not too large.
    pub(crate) fn decode(rest: &mut Bytes, limits: &Limits) -> Result<Self, ProtocolError> {
        let fields = rest.try_get_u8().map_err(|_| bad("HPUB headers are cut off"))?;
        if fields & !(HAS_EVENT | HAS_KEY | HAS_DELAY | IS_FROM_HANDLER | WANTS_RECEIPT) != 0 {
            return Err(bad(format!("HPUB unknown headers {fields:#04x}")));
        }
        let mut headers = Self {
            is_from_handler: fields & IS_FROM_HANDLER != 0,
            wants_receipt: fields & WANTS_RECEIPT != 0,
            ..Self::default()
        };
        if fields & HAS_EVENT != 0 {
            let mut event = [0; 16];
            rest.try_copy_to_slice(&mut event).map_err(|_| bad("HPUB headers are cut off"))?;
            headers.event = Some(event);
        }
        if fields & HAS_KEY != 0 {
            let length = rest.try_get_i32().map_err(|_| bad("HPUB headers are cut off"))?;
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
            let length = length.ok_or_else(|| bad("HPUB headers are cut off"))?;
            headers.key = Some(rest.split_to(length));
        }
        if fields & HAS_DELAY != 0 {
            let millis = rest.try_get_u64().map_err(|_| bad("HPUB headers are cut off"))?;
            headers.delay = Duration::from_millis(millis);
            if headers.delay > limits.max_requeue_delay {
                let most = limits.max_requeue_delay.as_millis();
                let text = format!("HPUB timeout {millis} out of range 0-{most}");
                return Err(ProtocolError::new(ErrorCode::Invalid, text));
            }
        }
        match rest.len() {
            0 => Err(bad("HPUB invalid message body size 0")),
            size if size > limits.max_message_bytes => {
                Err(bad(format!("HPUB message too big {size} > {}", limits.max_message_bytes)))
            }
            _ => Ok(headers),
        }
    }
}

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadMessage, text)
}

/// A duration as it is sent: rounded up, so that no message comes early.
pub(crate) fn whole_millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
