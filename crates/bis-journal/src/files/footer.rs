//! The end of a sealed segment: each topic's offsets, delta-coded, and a trailer that says where they begin.
//!
//! A footer only makes reading faster: without it the segment is scanned.

use std::io;

use bis_broker::{NumberMap, varint};

use super::batch::{BATCH_HEADER, Batch};
use super::disk::DiskFile;
use super::record::{self, Header, Kind, read_u32, read_u64};
use super::segment::Segment;

/// The length of the trailer, in bytes.
pub(crate) const TRAILER: usize = 32;

const TRAILER_MAGIC: &[u8; 8] = b"BISSEAL1";

/// Up to this many missing sequences in a row are kept as zeros; a longer gap, as lost messages may leave it, takes no room.
const MAX_ZEROS: u64 = 64;

/// Where one topic's messages lie in one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// In order: a sequence, and the offsets from it on; 0 is missing. None is empty.
    pieces: Vec<(u64, Vec<u32>)>,
}

impl Offsets {
    /// The first sequence; 0 when there is none.
    pub(crate) fn first(&self) -> u64 {
        self.pieces.first().map_or(0, |(first, _)| *first)
    }

    /// One past the last sequence.
    pub(crate) fn end(&self) -> u64 {
        self.pieces.last().map_or(0, |(first, offsets)| first + offsets.len() as u64)
    }

    /// Notes a message; sequences only rise, and what is left out is missing. False when another has the sequence, or a later
    /// one.
    pub(crate) fn push(&mut self, sequence: u64, offset: u32) -> bool {
        let Some(missing) = sequence.checked_sub(self.end()) else { return false };
        match self.pieces.last_mut() {
            Some((_, offsets)) if missing <= MAX_ZEROS => {
                offsets.extend((0..missing).map(|_| 0));
                offsets.push(offset);
            }
            _ => self.pieces.push((sequence, vec![offset])),
        }
        true
    }

    /// The offset of a sequence.
    pub(crate) fn get(&self, sequence: u64) -> Option<u32> {
        let after = self.pieces.partition_point(|(first, _)| *first <= sequence);
        let (first, offsets) = self.pieces.get(after.checked_sub(1)?)?;
        let at = usize::try_from(sequence - first).ok()?;
        offsets.get(at).copied().filter(|offset| *offset != 0)
    }
}

/// The offsets of a segment, by topic.
pub(crate) type SegmentOffsets = NumberMap<u32, Offsets>;

/// Appends the footer records: one for each piece of a topic.
pub(crate) fn append(buffer: &mut Vec<u8>, segment: &SegmentOffsets) {
    let mut topics: Vec<_> = segment.iter().collect();
    topics.sort_unstable_by_key(|(topic, _)| **topic);
    let pieces =
        topics.into_iter().flat_map(|(topic, offsets)| offsets.pieces.iter().map(|piece| (*topic, piece)));
    for (topic, (first, offsets)) in pieces {
        let mut body = Vec::with_capacity(2 * offsets.len());
        let mut last = 0;
        for &offset in offsets {
            varint::put(&mut body, u64::from(if offset == 0 { 0 } else { offset - last }));
            last = last.max(offset);
        }
        record::append(buffer, &Header::new(Kind::Footer, topic, *first), &body);
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
    let Some(offset) = offset_in_trailer(file, segment, trailer_at)? else { return Ok(None) };
    let mut bytes = vec![0; usize::try_from(trailer_at - offset).unwrap_or(0)];
    file.read_at(&mut bytes, offset)?;
    Ok(decode(segment, offset, &bytes))
}

/// Where the footers begin, as the trailer at this offset says; `None` when there is none that holds, as in a segment that a
/// crash kept from being sealed.
pub(crate) fn offset_in_trailer(
    file: &dyn DiskFile,
    segment: Segment,
    trailer_at: u64,
) -> io::Result<Option<u64>> {
    let mut trailer = [0; TRAILER];
    file.read_at(&mut trailer, trailer_at)?;
    let holds = &trailer[0..8] == TRAILER_MAGIC
        && read_u64(&trailer, 8) == segment.number
        && read_u32(&trailer, 28) == segment.checksum(trailer_at, &[&trailer[8..28]]);
    Ok(Some(read_u64(&trailer, 16)).filter(|offset| holds && *offset <= trailer_at))
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
        let mut offsets = Vec::new();
        let mut last = 0_u32;
        while let Some(delta) = varint::take(&mut body) {
            if delta == 0 {
                offsets.push(0);
            } else {
                last = last.checked_add(u32::try_from(delta).ok()?)?;
                offsets.push(last);
            }
        }
        found.entry(header.topic).or_default().pieces.push((header.sequence, offsets));
        rest = &rest[length..];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::salt::Salt;

    #[test]
    fn gaps_of_any_length_are_kept_in_little_room() {
        let sequences = [5, 6, 70, 100, 1_000, 1_002, 1 << 40, (1 << 40) + 1];
        let mut offsets = Offsets::default();
        for (at, sequence) in sequences.into_iter().enumerate() {
            offsets.push(sequence, 100 * (at as u32 + 1));
            // A record that is there twice.
            offsets.push(sequence, 7);
        }
        let mut segment = SegmentOffsets::default();
        segment.insert(3, offsets);
        segment.entry(4).or_default().push(0, 64);
        let (identity, at) = (Segment::new(1, &Salt([1; 16])), 4096);
        let mut buffer = vec![0; BATCH_HEADER];
        append(&mut buffer, &segment);
        assert!(buffer.len() < 1000, "{} bytes", buffer.len());
        let (header, records) = buffer.split_at_mut(BATCH_HEADER);
        let records_at = at + BATCH_HEADER as u64;
        let count = record::seal(records, identity, records_at);
        let checksum = Batch::checksum_of(identity, records_at, records);
        let length = u32::try_from(records.len()).unwrap();
        Batch { number: 1, length, checksum, durable: 0, count }.encode(identity, at, header);
        let found = decode(identity, at, &buffer).unwrap();
        assert_eq!(found, segment);
        let offsets = &found[&3];
        for (at, sequence) in sequences.into_iter().enumerate() {
            assert_eq!(offsets.get(sequence), Some(100 * (at as u32 + 1)));
        }
        for missing in [0, 4, 7, 99, 101, 999, 1_001, 1_003, (1 << 40) - 1, (1 << 40) + 2] {
            assert_eq!(offsets.get(missing), None, "{missing}");
        }
        assert_eq!((offsets.first(), offsets.end()), (5, (1 << 40) + 2));
    }
}
