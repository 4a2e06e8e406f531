//! Reads for the log, outside the state's lock: what it lacks, and what was read for it.
//!
//! The log never reads by itself. The caller that gets a [`Missing`] reads it on a thread that may wait, gives what was read to
//! the log, and asks again under the same lock, so that nobody can take the chunk away in between. A read that fails
//! says nothing about the message: it is tried again, and the message is neither skipped nor finished.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::damage::Damage;
use super::disk::DiskFile;
use super::footer::{self, Offsets, SegmentOffsets};
use super::record::{self, RECORD_HEADER};
use super::scan;
use super::segment::Segment;

/// How much is read at once, in bytes; a longer record is read whole.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
/// What is tried when a chunk cannot be read: bytes beside the record that are bad must not keep it.
const SMALL_CHUNK_BYTES: usize = 4096;

/// What must be read before a record can be had.
pub struct Missing {
    pub(crate) segment: Segment,
    pub(crate) topic: u32,
    pub(crate) sequence: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the record is; `None` when the segment's index is to be read first.
    pub(crate) offset: Option<u64>,
    /// Nothing is read from here on: it is still being written.
    pub(crate) end: u64,
}

/// What was read.
pub struct Fetched {
    pub(crate) segment: u64,
    /// The segment's index, when that was missing, and the damage that was met while it was made anew.
    pub(crate) index: Option<(Arc<SegmentOffsets>, Vec<Damage>)>,
    /// Bytes from an offset on, which begin with the record; `None` when the index does not have it.
    pub(crate) chunk: Option<(u64, Bytes)>,
}

impl std::fmt::Debug for Missing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (segment, offset) = (self.segment.number, self.offset);
        formatter.debug_struct("Missing").field("segment", &segment).field("offset", &offset).finish()
    }
}

impl Missing {
    /// Reads what is missing. It waits for the disk.
    pub(crate) fn read(&self) -> io::Result<Fetched> {
        let index = match self.offset {
            Some(_) => None,
            None => Some(read_offsets(&*self.file, self.segment)?),
        };
        let offset = self.offset.or_else(|| {
            let (offsets, _) = index.as_ref()?;
            offsets.get(&self.topic)?.get(self.sequence).map(u64::from)
        });
        let chunk =
            offset.map(|offset| Ok::<_, io::Error>((offset, self.read_chunk(offset)?))).transpose()?;
        let index = index.map(|(offsets, damage)| (Arc::new(offsets), damage));
        Ok(Fetched { segment: self.segment.number, index, chunk })
    }

    fn read_chunk(&self, offset: u64) -> io::Result<Bytes> {
        let room = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = read_up_to(&*self.file, offset, CHUNK_BYTES.min(room))
            .or_else(|_| read_up_to(&*self.file, offset, SMALL_CHUNK_BYTES.min(room)))?;
        if bytes.len() >= RECORD_HEADER {
            let length = record::read_u32(&bytes, 0) as usize;
            // A length beyond the end is damage, which the log finds.
            if length > bytes.len() && length <= room {
                bytes = read_up_to(&*self.file, offset, length)?;
            }
        }
        Ok(Bytes::from(bytes))
    }
}

/// The offsets of a sealed segment's messages: from its footers, or, when these do not hold, by scanning it.
pub(crate) fn read_offsets(
    file: &dyn DiskFile,
    segment: Segment,
) -> io::Result<(SegmentOffsets, Vec<Damage>)> {
    if let Some(offsets) = footer::read(file, segment)? {
        return Ok((offsets, Vec::new()));
    }
    let bytes = read_whole(file)?;
    let mut offsets = SegmentOffsets::default();
    let scanned = scan::scan(segment, &bytes, bytes.len() as u64, |record, offset| {
        if let (Some(header), Ok(offset)) = (record::header(record), u32::try_from(offset))
            && header.kind == record::Kind::Message
        {
            let entry: &mut Offsets = offsets.entry(header.topic).or_default();
            entry.push(header.sequence, offset);
        }
    });
    Ok((offsets, scanned.damage))
}

/// A file's bytes.
pub(crate) fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    read_up_to(file, 0, length)
}

/// Bytes from an offset on; fewer at the end of the file.
pub(crate) fn read_up_to(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}
