//! The header before each commit, and the one at the start of each segment. See the module above for the layout.

use super::record::{read_u32, read_u64, seeded_checksum};

/// The length of a segment's header, in bytes.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// The length of a batch's header, in bytes.
pub(crate) const BATCH_HEADER: usize = 48;
/// Batches begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"BISJRNL1";
const BATCH_MAGIC: &[u8; 4] = b"BISb";

/// One commit: the records that became durable together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Counts the commits of the journal, across segments.
    pub(crate) number: u64,
    /// The bytes of records after the header.
    pub(crate) length: u32,
    /// The checksum of those bytes.
    pub(crate) checksum: u32,
    /// Everything below this offset of the segment was durable when this batch was written.
    pub(crate) durable: u64,
    /// How many records there are.
    pub(crate) count: u32,
}

impl Batch {
    /// Writes the header.
    pub(crate) fn encode(&self, segment: u64, bytes: &mut [u8]) {
        bytes[0..4].copy_from_slice(BATCH_MAGIC);
        bytes[8..16].copy_from_slice(&segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.durable.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.count.to_le_bytes());
        bytes[44..48].fill(0);
        let checksum = seeded_checksum(segment, &[&bytes[8..BATCH_HEADER]]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the header that `bytes` begin with, if it is one of this segment.
    pub(crate) fn decode(segment: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BATCH_HEADER || &bytes[0..4] != BATCH_MAGIC || read_u64(bytes, 8) != segment {
            return None;
        }
        if read_u32(bytes, 4) != seeded_checksum(segment, &[&bytes[8..BATCH_HEADER]]) {
            return None;
        }
        Some(Self {
            number: read_u64(bytes, 16),
            length: read_u32(bytes, 24),
            checksum: read_u32(bytes, 28),
            durable: read_u64(bytes, 32),
            count: read_u32(bytes, 40),
        })
    }

    /// The checksum of a batch's records.
    pub(crate) fn checksum_of(segment: u64, records: &[u8]) -> u32 {
        seeded_checksum(segment, &[records])
    }
}

/// The header of a segment.
pub(crate) fn segment_header(segment: u64, created: u64) -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[0..8].copy_from_slice(SEGMENT_MAGIC);
    bytes[16..24].copy_from_slice(&segment.to_le_bytes());
    bytes[24..32].copy_from_slice(&created.to_le_bytes());
    let checksum = seeded_checksum(segment, &[&bytes[16..]]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Whether `bytes` begin with the header of this segment.
pub(crate) fn is_segment_header(segment: u64, bytes: &[u8]) -> bool {
    bytes.len() >= SEGMENT_HEADER
        && &bytes[0..8] == SEGMENT_MAGIC
        && read_u64(bytes, 16) == segment
        && read_u32(bytes, 8) == seeded_checksum(segment, &[&bytes[16..SEGMENT_HEADER]])
}

/// The next place where a batch may begin.
pub(crate) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT as u64)
}
