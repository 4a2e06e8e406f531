//! Appends batches to the newest segment, fills ahead with zeros, seals full segments. Only the committer uses it.
//!
//! It decides nothing of when to commit, and after a failed sync it never writes again.

use std::io;
use std::sync::Arc;

use super::batch::{self, BATCH_HEADER, Batch};
use super::disk::{Disk, DiskFile};
use super::fetch::read_up_to;
use super::footer::{self, SegmentOffsets, TRAILER};
use super::record;
use super::salt::Salt;
use super::segment::{SEGMENT_HEADER, Segment};

/// How far zeros are written ahead of small batches, so that a commit changes no file length. A sync then writes data only.
const FILL_BYTES: u64 = 256 * 1024;
/// A batch from this length on, or from an eighth of a segment on, is appended without zeros: to write everything twice would
/// cost more than the longer sync.
const LARGE_BATCH: u64 = 64 * 1024;

/// Where a batch's records begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) segment: u64,
    pub(crate) records_at: u64,
}

/// A position in the journal: everything before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) next_batch: u64,
}

pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    salt: Salt,
    segment: Segment,
    file: Arc<dyn DiskFile>,
    position: Position,
    filled: u64,
    durable: u64,
    /// Where the bytes of what failed end: they are cleared before anything is written in their place. Before that a start may
    /// take them for records, so that what was refused may be delivered.
    refused: u64,
    segment_bytes: u64,
}

impl Writer {
    /// Begins a new segment, with nothing before it in the file.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        salt: Salt,
        number: u64,
        next_batch: u64,
        segment_bytes: u64,
        created: u64,
    ) -> io::Result<Self> {
        let segment = Segment::new(number, &salt);
        let file = disk.open(&segment.name())?;
        file.set_length(0)?;
        file.write_at(&segment.header(&salt, created), 0)?;
        file.sync()?;
        disk.sync_names()?;
        let offset = SEGMENT_HEADER as u64;
        let position = Position { segment: number, offset, next_batch };
        let (filled, durable, refused) = (offset, offset, offset);
        Ok(Self { disk, salt, segment, file, position, filled, durable, refused, segment_bytes })
    }

    /// Goes on in a segment that was scanned. Records that were saved from behind the position, with room for a batch's
    /// header before them, are written over what they were saved from: that needs no room on the disk, and no failure may
    /// take them away. What then follows is cut off, so that nothing of a torn batch can be taken for a later one.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        salt: Salt,
        segment: Segment,
        position: Position,
        segment_bytes: u64,
        now: u64,
        saved: &mut [u8],
    ) -> io::Result<(Self, Option<Written>)> {
        let file = disk.open(&segment.name())?;
        if !segment.is_header(&read_up_to(&*file, 0, SEGMENT_HEADER)?) {
            // Without one that holds, the segment's salt is the journal's.
            file.write_at(&segment.header(&salt, now), 0)?;
        }
        file.sync()?;
        let (filled, durable, refused) = (file.length()?, position.offset, position.offset);
        let mut writer =
            Self { disk, salt, segment, file, position, filled, durable, refused, segment_bytes };
        let written = if saved.is_empty() { None } else { Some(writer.write(saved)?) };
        let end = writer.position.offset;
        writer.file.set_length(end)?;
        writer.file.sync()?;
        (writer.filled, writer.durable, writer.refused) = (end, end, end);
        Ok((writer, written))
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The length at which segments are sealed.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn segment(&self) -> Segment {
        self.segment
    }

    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Whether a batch of this many bytes should go to the next segment.
    pub(crate) fn is_full_for(&self, bytes: usize) -> bool {
        let end = self.position.offset + bytes as u64;
        end > self.segment_bytes && self.position.offset > SEGMENT_HEADER as u64
    }

    /// Whether this many more bytes overwrite what the file has already, in the current segment.
    pub(crate) fn has_filled(&self, bytes: usize) -> bool {
        let end = self.position.offset + bytes as u64;
        end <= self.filled && end <= self.segment_bytes && self.refused <= self.position.offset
    }

    /// Writes the records in `buffer`, which begins with room for the batch's header. Nothing is durable before
    /// [`Writer::sync`]. After an error the batch is not part of the journal.
    pub(crate) fn write(&mut self, buffer: &mut [u8]) -> io::Result<Written> {
        let at = self.position.offset;
        self.put(buffer, at)?;
        self.position.offset = batch::aligned(at + buffer.len() as u64);
        self.position.next_batch += 1;
        self.refused = self.position.offset;
        Ok(Written { segment: self.position.segment, records_at: at + BATCH_HEADER as u64 })
    }

    /// Whether something is written that a crash of the machine could take.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.durable < self.position.offset
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.durable < self.position.offset {
            self.file.sync()?;
            self.durable = self.position.offset;
        }
        Ok(())
    }

    /// Seals the segment with its footers and begins the next one; returns the sealed one's length in bytes. After an
    /// error it may be called again.
    pub(crate) fn roll(&mut self, offsets: &SegmentOffsets, now: u64) -> io::Result<u64> {
        let mut buffer = vec![0; BATCH_HEADER];
        footer::append(&mut buffer, offsets);
        let at = self.position.offset;
        self.put(&mut buffer, at)?;
        let trailer_at = batch::aligned(at + buffer.len() as u64);
        let length = trailer_at + TRAILER as u64;
        self.refused = length;
        self.file.write_at(&footer::trailer(self.segment, at, trailer_at), trailer_at)?;
        self.file.set_length(length)?;
        self.filled = length;
        self.file.sync()?;
        let (next, next_batch) = (self.position.segment + 1, self.position.next_batch + 1);
        let disk = Arc::clone(&self.disk);
        *self = Self::create(disk, self.salt, next, next_batch, self.segment_bytes, now)?;
        Ok(length)
    }

    fn put(&mut self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let (segment, records_at) = (self.segment, at + BATCH_HEADER as u64);
        let (header, records) = buffer.split_at_mut(BATCH_HEADER);
        let count = record::seal(records, segment, records_at);
        let length = u32::try_from(records.len()).map_err(io::Error::other)?;
        let checksum = Batch::checksum_of(segment, records_at, records);
        let number = self.position.next_batch;
        Batch { number, length, checksum, durable: self.durable, count }.encode(segment, at, header);
        let end = at + buffer.len() as u64;
        if end - at < LARGE_BATCH.min(self.segment_bytes / 8) {
            // It saves time, and a full disk may have room for the batch without.
            let _ = self.fill_to(end);
        }
        if self.refused > at {
            let length = usize::try_from(self.refused - at).map_err(io::Error::other)?;
            self.file.write_at(&vec![0; length], at)?;
        }
        self.refused = end;
        let written = self.file.write_at(buffer, at);
        if written.is_ok() {
            self.filled = self.filled.max(end);
        } else if end > self.filled && self.file.set_length(self.filled).is_ok() {
            // To clear what was appended would take the room that is not there.
            self.refused = self.filled;
        }
        written
    }

    /// Writes zeros up to there and beyond, unless it was done.
    fn fill_to(&mut self, end: u64) -> io::Result<()> {
        if end <= self.filled {
            return Ok(());
        }
        let ahead = FILL_BYTES.min(self.segment_bytes);
        let zeros = usize::try_from(end - self.filled + ahead).map_err(io::Error::other)?;
        self.file.write_at(&vec![0; zeros], self.filled)?;
        self.filled += zeros as u64;
        Ok(())
    }
}
