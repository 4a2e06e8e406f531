//! The header before each commit. See the module above for the layout.

use super::record::{read_u32, read_u64};
use super::segment::Segment;

/// The length of a batch's header, in bytes.
pub(crate) const BATCH_HEADER: usize = 48;
/// Batches begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

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
    /// Writes the header for an offset of the segment.
    pub(crate) fn encode(&self, segment: Segment, offset: u64, bytes: &mut [u8]) {
        bytes[0..4].copy_from_slice(BATCH_MAGIC);
        bytes[8..16].copy_from_slice(&segment.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.durable.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.count.to_le_bytes());
        bytes[44..48].fill(0);
        let checksum = segment.checksum(offset, &[&bytes[8..BATCH_HEADER]]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the header that `bytes`, from this offset of the segment on, begin with, if it is one.
    pub(crate) fn decode(segment: Segment, offset: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BATCH_HEADER || &bytes[0..4] != BATCH_MAGIC || read_u64(bytes, 8) != segment.number {
            return None;
        }
        if read_u32(bytes, 4) != segment.checksum(offset, &[&bytes[8..BATCH_HEADER]]) {
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

    /// The checksum of a batch's records, which begin at this offset of the segment.
    pub(crate) fn checksum_of(segment: Segment, offset: u64, records: &[u8]) -> u32 {
        segment.checksum(offset, &[records])
    }
}

/// The next place where a batch may begin.
pub(crate) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT as u64)
}
