//! Reads a segment from its start and tells a torn tail from damage.
//!
//! A batch that does not hold is *torn* when nothing shows that it was ever durable: then it, and what follows, was
//! never answered and is dropped. When a later batch, or the checkpoint, says that it was durable, it is *damaged*: it
//! is reported, what of it still holds is used, and what follows it is read. Of the torn tail, the records that hold are
//! saved all the same: its last batch may have been answered and then damaged, and nothing can tell.

use super::batch::{ALIGNMENT, BATCH_HEADER, Batch};
use super::damage::Damage;
use super::record;
use super::segment::{SEGMENT_HEADER, Segment};
use super::sums::Sums;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Where the next batch goes.
    pub(crate) end: u64,
    /// One more than the last batch's number; 0 when there was none.
    pub(crate) next_batch: u64,
    pub(crate) damage: Vec<Damage>,
    /// The records of the torn tail that hold. They are not visited; they lie beyond the end.
    pub(crate) saved: Vec<u8>,
}

/// Visits every record that holds, in order, with its offset. `known_durable` is the offset that the checkpoint vouches
/// for in this segment.
pub(crate) fn scan(
    segment: Segment,
    bytes: &[u8],
    known_durable: u64,
    mut visit: impl FnMut(&[u8], u64),
) -> Scanned {
    let mut found = Scanned { end: SEGMENT_HEADER as u64, ..Scanned::default() };
    let has_header = segment.is_header(bytes);
    let was_begun = has_header || known_durable > 0 || has_batch(segment, bytes);
    if was_begun && !has_header {
        found.damage.push(damaged(segment, 0, SEGMENT_HEADER));
    }
    let at = match was_begun {
        true => read_batches(segment, bytes, known_durable, &mut visit, &mut found),
        false => SEGMENT_HEADER,
    };
    found.end = at as u64;
    let tail = bytes.get(at..).unwrap_or_default();
    if tail.iter().any(|byte| *byte != 0) {
        let save = &mut |record: &[u8], _| found.saved.extend_from_slice(record);
        salvage(segment, tail, at, save, &mut Vec::new());
    }
    found
}

/// Visits the batches from the segment's beginning on, as far as they were durable; returns where they end.
fn read_batches(
    segment: Segment,
    bytes: &[u8],
    known_durable: u64,
    visit: &mut impl FnMut(&[u8], u64),
    found: &mut Scanned,
) -> usize {
    let mut at = SEGMENT_HEADER;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(batch) = Batch::decode(segment, at as u64, rest)
            && let Some(records) = rest.get(BATCH_HEADER..BATCH_HEADER + batch.length as usize)
        {
            let (start, end) = (at + BATCH_HEADER, at + BATCH_HEADER + records.len());
            if Batch::checksum_of(segment, start as u64, records) == batch.checksum {
                visit_all(records, start, visit);
            } else if was_durable(segment, bytes, at, known_durable) {
                salvage(segment, records, start, visit, &mut found.damage);
            } else {
                break;
            }
            found.next_batch = batch.number.saturating_add(1);
            at = end.next_multiple_of(ALIGNMENT);
            continue;
        }
        // No header here: the end, unless something vouches for what was.
        if !was_durable(segment, bytes, at, known_durable) {
            break;
        }
        let vouched = usize::try_from(known_durable).unwrap_or(usize::MAX);
        let next = next_batch(segment, bytes, at).unwrap_or(vouched.max(at));
        let there = bytes.get(at..next.min(bytes.len())).unwrap_or_default();
        if there.iter().any(|byte| *byte != 0) {
            salvage(segment, there, at, visit, &mut found.damage);
        } else {
            found.damage.push(damaged(segment, at, next - at));
        }
        at = next;
    }
    at
}

/// Whether a batch's header holds anywhere in a segment.
pub(crate) fn has_batch(segment: Segment, bytes: &[u8]) -> bool {
    next_batch(segment, bytes, SEGMENT_HEADER - 1).is_some()
}

fn damaged(segment: Segment, at: usize, length: usize) -> Damage {
    Damage::Bytes { segment: segment.number, offset: at as u64, bytes: length as u64 }
}

/// The record that begins at a place of these bytes, which begin at an offset of the segment, if it holds.
fn intact_at<'a>(segment: Segment, sums: &Sums<'a>, start: usize, at: usize) -> Option<&'a [u8]> {
    let rest = &sums.bytes()[at..];
    let record = &rest[..record::length_at(rest)?];
    if !record::may_begin(record) {
        return None;
    }
    let checksum = crc32c::crc32c_append(segment.begin((start + at) as u64), &record[0..4]);
    let checksum = sums.append(checksum, at + 8, at + record.len());
    (record::read_u32(record, 4) == checksum).then_some(record)
}

fn visit_all(records: &[u8], start: usize, visit: &mut impl FnMut(&[u8], u64)) {
    let mut at = 0;
    while let Some(length) = record::length_at(&records[at..]) {
        visit(&records[at..at + length], (start + at) as u64);
        at += length;
    }
}

/// Visits the records that hold among damaged bytes, each by its own checksum.
fn salvage(
    segment: Segment,
    records: &[u8],
    start: usize,
    visit: &mut impl FnMut(&[u8], u64),
    damage: &mut Vec<Damage>,
) {
    let sums = Sums::new(records);
    let mut at = 0;
    while at < records.len() {
        if let Some(record) = intact_at(segment, &sums, start, at) {
            visit(record, (start + at) as u64);
            at += record.len();
            continue;
        }
        // The length itself may be what is damaged: look for the next record that holds.
        let next = (at + 1..records.len()).find(|&next| intact_at(segment, &sums, start, next).is_some());
        let next = next.unwrap_or(records.len());
        damage.push(damaged(segment, start + at, next - at));
        at = next;
    }
}

/// Whether a later batch, or the checkpoint, vouches for the bytes at `at`.
fn was_durable(segment: Segment, bytes: &[u8], at: usize, known_durable: u64) -> bool {
    if known_durable > at as u64 {
        return true;
    }
    let mut from = at;
    while let Some(next) = next_batch(segment, bytes, from) {
        if Batch::decode(segment, next as u64, &bytes[next..]).is_some_and(|batch| batch.durable > at as u64)
        {
            return true;
        }
        from = next;
    }
    false
}

/// The next place after `at` where a batch's header holds.
fn next_batch(segment: Segment, bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = (at + 1).next_multiple_of(ALIGNMENT);
    while next + BATCH_HEADER <= bytes.len() {
        if Batch::decode(segment, next as u64, &bytes[next..]).is_some() {
            return Some(next);
        }
        next += ALIGNMENT;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::files::salt::Salt;

    const LENGTH: u32 = 512 * 1024;

    #[test]
    fn bytes_that_claim_long_records_everywhere_are_read_in_no_time() {
        let segment = Segment::new(1, &Salt([1; 16]));
        let mut header = LENGTH.to_le_bytes().to_vec();
        header.extend_from_slice(&[0, 0, 0, 0, record::Kind::Message as u8, 0, 0, 0]);
        let bytes = header.repeat(2 * LENGTH as usize / header.len());
        let began = Instant::now();
        let mut damage = Vec::new();
        salvage(segment, &bytes, SEGMENT_HEADER, &mut |_, _| panic!("nothing holds"), &mut damage);
        assert_eq!(damage, [damaged(segment, SEGMENT_HEADER, bytes.len())]);
        // Summed up one by one these are 22 GB.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
