//! The journal: one log for all topics, in segments, with group commit.
//!
//! This module owns the format of the data folder. It knows topics and channels by number only, and nothing of NSQ.
//! All numbers are little-endian; all times are nanoseconds since 1970, 0 meaning none.
//!
//! # Files
//! - `lock`: held by the router that uses the folder.
//! - `<segment id, 16 hex digits>.segment`: ids count up; only the newest is written to.
//! - `checkpoint`, `checkpoint.previous`: state of topics and channels at a position ([`checkpoint`]).
//!
//! # Segment
//! A header of 64 bytes: `BISJRNL1`, crc32c (u32, of bytes 16..64), 4 zero bytes, segment id (u64), time made (u64), zeros.
//! Then batches, each at a multiple of 8. The file is filled with zeros ahead of them. Every crc32c in a segment
//! continues that of the segment's id (8 bytes), so that bytes of another segment never validate.
//!
//! # Batch: what became durable together
//! | Offset | Field |
//! |---|---|
//! | 0 | `BISb` |
//! | 4 | crc32c of bytes 8..48 |
//! | 8 | segment id, u64 |
//! | 16 | batch number, u64, counts over all segments |
//! | 24 | length of the records, u32 |
//! | 28 | crc32c of the records |
//! | 32 | offset below which the segment was durable when this was written, u64 |
//! | 40 | count of records, u32; 4 zero bytes |
//! | 48 | the records, one after the other |
//!
//! # Record
//! | Offset | Field |
//! |---|---|
//! | 0 | length with this header, u32 |
//! | 4 | crc32c of bytes 0..4 and 8..length |
//! | 8 | kind, u8 ([`record::Kind`]) |
//! | 9 | flags, u8: 1 = has an ordering key; 2 zero bytes |
//! | 12 | topic id, u32 |
//! | 16 | sequence, u64, dense in its topic |
//! | 24 | publish time, u64 |
//! | 32 | due time, u64 |
//! | 40 | hash of the ordering key (FNV-1a of its bytes), u64 |
//! | 48 | event id, 16 bytes, zeros when unknown |
//! | 64 | body |
//!
//! The body of an `Operations` record is a channel's id (u32) and operations, each a byte and its numbers:
//! 1 finished (sequence u64), 2 attempts (sequence u64, attempts u32, due u64), 3 forgot below (sequence u64),
//! 4 paused, 5 unpaused, 6 everything from a sequence on comes again (sequence u64), 7 skipped a range (first u64, end
//! u64).
//!
//! A `Moved` record is a copy of a message, whose own segment may be gone: header and body are the same but for the kind.
//! Of several copies the newest counts.
//!
//! # Seal
//! A full segment ends with a batch of `Footer` records, one a topic: the body lists the offset of each sequence as a
//! varint of the distance to the one before, 0 for a sequence that is missing. A trailer of 32 bytes ends the file:
//! `BISSEAL1`, segment id (u64), offset of the footer batch (u64), 4 zero bytes, crc32c of bytes 8..28.
//!
//! # Memory
//! What is held does not grow with the backlog but by a few numbers a segment and topic:
//! - the newest bytes as they were written: 16 MiB, or one batch;
//! - bytes that were read: 16 MiB, or one chunk; a read is 256 KiB, or one record, for each connection that waits for it;
//! - the active segment's index and those of 8 sealed ones: 4 bytes a message, about 1 MB each for messages of 200 bytes;
//! - damage that was reported: 65,536 places;
//! - where messages live on as copies: 65,536 of them, about 100 bytes each.
//!
//! A start reads one segment at a time, the last one whole; so does the scrubber when it has met damage.
//!
//! # Recovery
//! The checkpoint's state, then every record after its position. Where a batch does not hold, [`scan`] tells a torn
//! tail from damage.

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub mod damage;
pub mod disk;
pub(crate) mod fetch;
pub(crate) mod footer;
pub(crate) mod found;
pub(crate) mod log;
pub(crate) mod moved;
pub(crate) mod record;
pub(crate) mod salt;
pub(crate) mod scan;
pub(crate) mod scrub;
pub(crate) mod segment;
mod sums;
mod unreadable;
pub(crate) mod writer;
