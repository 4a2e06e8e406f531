//! A record's bytes: the unit that carries its own checksum, sequence and time. See the module above for the layout.

use super::segment::Segment;

/// The length of a record's header, in bytes.
pub(crate) const RECORD_HEADER: usize = 64;

const HAS_KEY: u8 = 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A published message; the body is its body.
    Message = 1,
    /// A topic was made; the body is its name.
    Topic = 2,
    /// A topic was deleted, with its channels and messages.
    TopicDeleted = 3,
    /// A channel was made; the sequence is its first message, the body its id (u32) and its name.
    Channel = 4,
    /// A channel was deleted; the body is its id (u32).
    ChannelDeleted = 5,
    /// What happened on a channel; the body is its id (u32) and a list of operations.
    Operations = 6,
    /// One topic's offsets in a sealed segment; the sequence is the first, the body the delta-coded list.
    Footer = 7,
    /// A topic's state; the sequence is where its first channel would begin, the body one byte: 1 when it is
    /// paused, and 2 more when it is held until the channels that others know of are made.
    TopicState = 8,
    /// A message that was published to an older segment, copied; the body is its body.
    Moved = 9,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Message,
            2 => Self::Topic,
            3 => Self::TopicDeleted,
            4 => Self::Channel,
            5 => Self::ChannelDeleted,
            6 => Self::Operations,
            7 => Self::Footer,
            8 => Self::TopicState,
            9 => Self::Moved,
            _ => return None,
        })
    }
}

/// A record's header, without length and checksum. Times are nanoseconds since 1970; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) topic: u32,
    pub(crate) sequence: u64,
    pub(crate) published: u64,
    pub(crate) due: u64,
    pub(crate) key: Option<u64>,
    pub(crate) event: [u8; 16],
}

impl Header {
    /// A header with no more than what every kind has.
    pub(crate) fn new(kind: Kind, topic: u32, sequence: u64) -> Self {
        Self { kind, topic, sequence, published: 0, due: 0, key: None, event: [0; 16] }
    }
}

/// Appends a record whose checksum is still to be set by [`seal`].
pub(crate) fn append(buffer: &mut Vec<u8>, header: &Header, body: &[u8]) {
    let length = u32::try_from(RECORD_HEADER + body.len()).expect("bodies are bounded far below 4 GiB");
    let mut bytes = [0; RECORD_HEADER];
    bytes[0..4].copy_from_slice(&length.to_le_bytes());
    bytes[8] = header.kind as u8;
    bytes[9] = if header.key.is_some() { HAS_KEY } else { 0 };
    bytes[12..16].copy_from_slice(&header.topic.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.sequence.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.published.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.due.to_le_bytes());
    bytes[40..48].copy_from_slice(&header.key.unwrap_or(0).to_le_bytes());
    bytes[48..64].copy_from_slice(&header.event);
    buffer.extend_from_slice(&bytes);
    buffer.extend_from_slice(body);
}

/// Gives another sequence to the record that `bytes` begin with, before it is sealed.
pub(crate) fn renumber(bytes: &mut [u8], sequence: u64) {
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
}

/// Sets the checksums of all records in `bytes`, for the segment and offset that they are about to be written to. Returns
/// how many there are.
pub(crate) fn seal(bytes: &mut [u8], segment: Segment, offset: u64) -> u32 {
    let (mut at, mut count) = (0, 0);
    while let Some(length) = length_at(&bytes[at..]) {
        let record = &mut bytes[at..at + length];
        let checksum = checksum(record, segment, offset + at as u64);
        record[4..8].copy_from_slice(&checksum.to_le_bytes());
        at += length;
        count += 1;
    }
    count
}

/// The length of the record that `bytes` begin with, if it can be one and is all there.
pub(crate) fn length_at(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes.get(0..4)?.try_into().ok()?) as usize;
    (length >= RECORD_HEADER && length <= bytes.len()).then_some(length)
}

/// Whether `bytes` may begin with a record: a cheap look before the checksum.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    bytes.len() >= RECORD_HEADER
        && Kind::from_byte(bytes[8]).is_some()
        && bytes[9] <= HAS_KEY
        && bytes[10..12] == [0, 0]
}

/// Whether the record's checksum holds at this offset of this segment.
pub(crate) fn is_intact(record: &[u8], segment: Segment, offset: u64) -> bool {
    record.len() >= RECORD_HEADER && read_u32(record, 4) == checksum(record, segment, offset)
}

/// Reads the header of a whole record; `None` when its kind is not known.
pub(crate) fn header(record: &[u8]) -> Option<Header> {
    if record.len() < RECORD_HEADER {
        return None;
    }
    Some(Header {
        kind: Kind::from_byte(record[8])?,
        topic: read_u32(record, 12),
        sequence: read_u64(record, 16),
        published: read_u64(record, 24),
        due: read_u64(record, 32),
        key: (record[9] & HAS_KEY != 0).then(|| read_u64(record, 40)),
        event: record[48..64].try_into().expect("16 bytes are 16 bytes"),
    })
}

/// The hash of an ordering key as records have it: FNV-1a of 64 bits, which must never change. Two keys that share a hash
/// are delivered in one order, which costs time and breaks nothing.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The little-endian number at `at`, which the caller knows to be there.
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes are 4 bytes"))
}

/// The little-endian number at `at`, which the caller knows to be there.
pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes are 8 bytes"))
}

fn checksum(record: &[u8], segment: Segment, offset: u64) -> u32 {
    segment.checksum(offset, &[&record[0..4], &record[8..]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_hash_stays_what_the_journal_has() {
        // The reference values of FNV-1a 64, <http://www.isthe.com/chongo/tech/comp/fnv/>.
        assert_eq!(key_hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(key_hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(key_hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
