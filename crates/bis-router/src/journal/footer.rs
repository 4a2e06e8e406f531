//! The end of a sealed segment: each topic's offsets, delta-coded, and a trailer that says where they begin.
//!
//! A footer only makes reading faster: without it the segment is scanned.

use std::io;

use bis_broker::NumberMap;

use super::batch::{BATCH_HEADER, Batch};
use super::disk::DiskFile;
use super::record::{self, Header, Kind, read_u32, read_u64};
use super::segment::Segment;

/// The length of the trailer, in bytes.
pub(crate) const TRAILER: usize = 32;

const TRAILER_MAGIC: &[u8; 8] = b"BISSEAL1";

/// Where one topic's messages lie in one segment: the offset of each sequence from `first` on; 0 is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) first: u64,
    pub(crate) offsets: Vec<u32>,
}

impl Offsets {
    /// One past the last sequence.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.offsets.len() as u64
    }

    /// Notes a message; sequences only rise, and what is left out is missing.
    pub(crate) fn push(&mut self, sequence: u64, offset: u32) {
        if self.offsets.is_empty() {
            self.first = sequence;
        }
        if sequence < self.end() {
            return;
        }
        let missing = usize::try_from(sequence - self.end()).unwrap_or(usize::MAX);
        self.offsets.resize(self.offsets.len() + missing, 0);
        self.offsets.push(offset);
    }

    /// The offset of a sequence.
    pub(crate) fn get(&self, sequence: u64) -> Option<u32> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.offsets.get(at).copied().filter(|offset| *offset != 0)
    }
}

/// The offsets of a segment, by topic.
pub(crate) type SegmentOffsets = NumberMap<u32, Offsets>;

/// Appends one footer record a topic.
pub(crate) fn append(buffer: &mut Vec<u8>, segment: &SegmentOffsets) {
    let mut topics: Vec<_> = segment.iter().collect();
    topics.sort_unstable_by_key(|(topic, _)| **topic);
    for (topic, offsets) in topics {
        let mut body = Vec::with_capacity(2 * offsets.offsets.len());
        let mut last = 0;
        for &offset in &offsets.offsets {
            put_varint(&mut body, if offset == 0 { 0 } else { offset - last });
            last = last.max(offset);
        }
        record::append(buffer, &Header::new(Kind::Footer, *topic, offsets.first), &body);
    }
}

/// The trailer, at `trailer_at`, of a segment whose footer batch begins at `offset`.
pub(crate) fn trailer(segment: Segment, offset: u64, trailer_at: u64) -> [u8; TRAILER] {
    let mut bytes = [0; TRAILER];
    bytes[0..8].copy_from_slice(TRAILER_MAGIC);
    bytes[8..16].copy_from_slice(&segment.number.to_le_bytes());
    bytes[16..24].copy_from_slice(&offset.to_le_bytes());
    let checksum = segment.checksum(trailer_at, &[&bytes[8..28]]);
    bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the footers of a segment; `None` when it is not sealed, or they do not hold.
pub(crate) fn read(file: &dyn DiskFile, segment: Segment) -> io::Result<Option<SegmentOffsets>> {
    let length = file.length()?;
    let Some(trailer_at) = length.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    file.read_at(&mut trailer, trailer_at)?;
    let holds = &trailer[0..8] == TRAILER_MAGIC
        && read_u64(&trailer, 8) == segment.number
        && read_u32(&trailer, 28) == segment.checksum(trailer_at, &[&trailer[8..28]]);
    let offset = read_u64(&trailer, 16);
    if !holds || offset > trailer_at {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(trailer_at - offset).unwrap_or(0)];
    file.read_at(&mut bytes, offset)?;
    Ok(decode(segment, offset, &bytes))
}

fn decode(segment: Segment, offset: u64, bytes: &[u8]) -> Option<SegmentOffsets> {
    let batch = Batch::decode(segment, offset, bytes)?;
    let mut rest = bytes.get(BATCH_HEADER..BATCH_HEADER + batch.length as usize)?;
    if Batch::checksum_of(segment, offset + BATCH_HEADER as u64, rest) != batch.checksum {
        return None;
    }
    let mut found = SegmentOffsets::default();
    while let Some(length) = record::length_at(rest) {
        let header = record::header(&rest[..length])?;
        let mut body = &rest[record::RECORD_HEADER..length];
        let mut offsets = Offsets { first: header.sequence, offsets: Vec::new() };
        let mut last = 0_u32;
        while let Some(delta) = take_varint(&mut body) {
            if delta == 0 {
                offsets.offsets.push(0);
            } else {
                last = last.checked_add(delta)?;
                offsets.offsets.push(last);
            }
        }
        found.insert(header.topic, offsets);
        rest = &rest[length..];
    }
    Some(found)
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..35).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
