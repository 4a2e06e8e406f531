//! The journal: one log for all topics, in segments, with group commit.
//!
//! This module owns the format of the data folder. It knows topics and channels by number only, and nothing of NSQ.
//! All numbers are little-endian; all times are nanoseconds since 1970, 0 meaning none.
//!
//! # Files
//! - `lock`: held by the router that uses the folder.
//! - `salt`: `BISSALT1`, the journal's salt (16 random bytes), crc32c (u32) of these.
//! - `<segment number, 16 hex digits>.segment`: numbers count up; only the newest is written to.
//! - `checkpoint`, `checkpoint.previous`: state of topics and channels at a position ([`checkpoint`]). One that was found
//!   damaged is put aside as `checkpoint.damaged`.
//! - `reserve`: room that is given up when the disk is full ([`reserve`]). It holds nothing.
//!
//! Files of other names are left alone.
//!
//! # Segment
//! A header of 64 bytes: `BISJRNL2`, crc32c (u32, of bytes 0..8 and 16..64), 4 zero bytes, segment number (u64), time made
//! (u64), salt (16 bytes), zeros. Then batches, each at a multiple of 8. Zeros may follow them: the file is filled ahead of
//! small ones.
//! A valid header with another digit is of another version of the router: the start refuses it.
//!
//! # Checksums
//! Recovery looks for records byte by byte where a batch does not hold, and a message's body may be anything: a copy of a
//! segment, or bytes made by somebody who knows this page. So every crc32c after the header says where it is. It continues the
//! segment's seed, which is the crc32c of its number (8 bytes) and the salt, with the bits of the offset turned at which the
//! record, the batch, its records or the trailer begin. The bytes of another segment or journal, or bytes made
//! without the salt, are valid by a chance of one in 4 billion; the bytes of this segment at another offset never do.
//!
//! One salt serves the whole journal, so that any of its copies is enough to read all of it: it is in `salt` and in each
//! segment's header. A segment is read with the salt of its own header when that holds, and else with that of `salt`, which is
//! made anew from the newest header when it is lost; only without any copy nothing can be read. The seed is computed once per
//! segment; it adds no cost per record.
//!
//! # Batch: what became durable together
//! | Offset | Field |
//! |---|---|
//! | 0 | `BISb` |
//! | 4 | crc32c of bytes 8..48 |
//! | 8 | segment number, u64 |
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
//! 1 finished (sequence u64), 2 came back (sequence u64, attempts u32 with the highest bit for a suspect, due u64), 3 forgot
//! below (sequence u64),
//! 4 paused, 5 unpaused, 6 everything from a sequence on comes again (sequence u64), 7 skipped a range (first u64, end
//! u64).
//!
//! A `Moved` record is a copy of a message, whose own segment may be gone: header and body are the same but for the kind.
//! Of several copies the newest counts.
//!
//! # Seal
//! A full segment ends with a batch of `Footer` records, one per topic, or several where many sequences are missing: the body
//! lists the offset of each sequence from the record's on as a varint of the distance to the one before, 0 for a sequence that
//! is missing. A trailer of 32 bytes ends the file:
//! `BISSEAL1`, segment number (u64), offset of the footer batch (u64), 4 zero bytes, crc32c of bytes 8..28.
//!
//! # Memory
//! What is held grows with the backlog only by a few numbers per segment and topic:
//! - the newest bytes as they were written: 16 MiB, or one batch;
//! - bytes that were read: 16 MiB, or one chunk; a read is 256 KiB, or one record, for each connection that waits for it;
//! - the active segment's index and those of 8 sealed ones: 4 bytes per message, about 1 MB each for messages of 200 bytes;
//! - damage that was reported: 65,536 places;
//! - where messages live on as copies: 65,536 of them, about 100 bytes each.
//!
//! A start reads one segment at a time, the last one whole; so does the scrubber when it has met damage.
//!
//! # Removal
//! A segment is removed after both checkpoints were written without it, by a state that does not need it. What the checkpoint
//! in use lists and is not there, and what is left out between its segment and the newest, was lost: the start reports it
//! ([`damage::Damage`]), counts what channels had not finished of it as dropped, and goes on. It lists lengths too, so that a
//! segment that lost its end is damaged. Without a checkpoint, lost and removed segments cannot be told apart.
//!
//! # Recovery
//! The checkpoint's state, then every record after its position. Where a batch does not hold, [`scan`] tells a torn
//! tail from damage. A start ends in a router that runs and reports, or in an error that names the file to look at: it takes
//! no number, length or name for granted, and its time and memory are bounded by the bytes that are there.

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub mod damage;
pub mod disk;
pub(crate) mod fetch;
pub mod folder;
pub(crate) mod footer;
pub(crate) mod found;
pub(crate) mod log;
pub(crate) mod moved;
pub(crate) mod operations;
pub(crate) mod record;
pub(crate) mod reserve;
pub(crate) mod salt;
pub(crate) mod scan;
pub(crate) mod scrub;
pub(crate) mod segment;
mod sums;
mod unreadable;
pub(crate) mod writer;
