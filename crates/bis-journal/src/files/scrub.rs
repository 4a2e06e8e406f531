//! Verifies a sealed segment, a little at a time, before somebody needs what is in it.
//!
//! It only reads. The caller decides how fast, and reports what it finds.

use std::io;
use std::sync::Arc;

use super::batch::{self, BATCH_HEADER, Batch};
use super::damage::Damage;
use super::disk::DiskFile;
use super::fetch::{read_up_to, read_whole};
use super::footer::{self, TRAILER};
use super::scan;
use super::segment::{SEGMENT_HEADER, Segment};

/// How much one step reads, about; at least one batch.
pub(crate) const STEP_BYTES: u64 = 1024 * 1024;

/// How far the verification of one segment is.
pub(crate) struct Scrub {
    segment: Segment,
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
}

/// What a step found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet; there is more to read.
    More,
    /// All of it holds.
    Sound,
    /// The rest was read too, and this is what does not hold.
    Damaged(Vec<Damage>),
}

impl Scrub {
    /// For a segment with this many bytes that is no longer written to.
    pub(crate) fn new(segment: Segment, file: Arc<dyn DiskFile>, bytes: u64) -> Self {
        Self { segment, file, at: SEGMENT_HEADER as u64, end: bytes }
    }

    /// Leaves out the trailer. A segment that a crash kept from being sealed has none, and ends with its last batch.
    fn leave_out_trailer(&mut self) -> io::Result<()> {
        if let Some(trailer_at) = self.end.checked_sub(TRAILER as u64)
            && footer::offset_in_trailer(&*self.file, self.segment, trailer_at)?.is_some()
        {
            self.end = trailer_at;
        }
        Ok(())
    }

    /// Reads on.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if self.at == SEGMENT_HEADER as u64 {
            self.leave_out_trailer()?;
        }
        let pause = self.at + STEP_BYTES;
        while self.at < pause {
            if self.at >= self.end {
                return Ok(Step::Sound);
            }
            let header = read_up_to(&*self.file, self.at, BATCH_HEADER)?;
            let Some(batch) = Batch::decode(self.segment, self.at, &header) else {
                return self.look_closely();
            };
            let from = self.at + BATCH_HEADER as u64;
            let length = u64::from(batch.length).min(self.end.saturating_sub(from));
            let records = read_up_to(&*self.file, from, usize::try_from(length).map_err(io::Error::other)?)?;
            if Batch::checksum_of(self.segment, from, &records) != batch.checksum {
                return self.look_closely();
            }
            self.at = batch::aligned(from + u64::from(batch.length));
        }
        Ok(Step::More)
    }

    /// Something does not hold: the whole segment tells what.
    fn look_closely(&self) -> io::Result<Step> {
        let mut bytes = read_whole(&*self.file)?;
        bytes.truncate(usize::try_from(self.end).map_err(io::Error::other)?);
        let mut damage = scan::scan(self.segment, &bytes, 0, |_, _| {}).damage;
        let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        // Zeros follow the end of a segment that a crash kept from being sealed.
        if damage.is_empty() && rest.iter().any(|byte| *byte != 0) {
            let (segment, offset, bytes) = (self.segment.number, self.at, rest.len() as u64);
            damage.push(Damage::Bytes { segment, offset, bytes });
        }
        Ok(if damage.is_empty() { Step::Sound } else { Step::Damaged(damage) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk::Disk;
    use crate::files::folder::Folder;
    use crate::files::footer::SegmentOffsets;
    use crate::files::record::{self, Header, Kind};
    use crate::files::salt::Salt;
    use crate::files::writer::Writer;

    /// What a scrub of the first segment says, after `change` of its bytes.
    fn check(seal: bool, change: impl FnOnce(&mut Vec<u8>)) -> Step {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.path()).unwrap());
        let mut writer = Writer::create(Arc::clone(&disk), Salt([1; 16]), 1, 0, 1 << 20, 1).unwrap();
        let segment = writer.segment();
        for number in 0..5 {
            let mut buffer = vec![0; BATCH_HEADER];
            record::append(&mut buffer, &Header::new(Kind::Message, 1, number), b"messages");
            writer.write(&mut buffer).unwrap();
        }
        let end = writer.position().offset;
        writer.sync().unwrap();
        if seal {
            writer.roll(&SegmentOffsets::default(), 2).unwrap();
        }
        let path = folder.path().join(segment.name());
        let mut bytes = std::fs::read(&path).unwrap();
        if !seal {
            bytes.truncate(usize::try_from(end).unwrap());
        }
        change(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let file = disk.open_on_demand(&segment.name()).unwrap();
        Scrub::new(segment, file, bytes.len() as u64).step().unwrap()
    }

    #[test]
    fn a_whole_segment_is_sound_whether_it_was_sealed_or_not() {
        assert_eq!(check(true, |_| {}), Step::Sound);
        assert_eq!(check(false, |_| {}), Step::Sound);
        assert_eq!(check(false, |bytes| bytes.extend([0; 4096])), Step::Sound, "filled ahead");
    }

    #[test]
    fn damage_is_found_up_to_the_last_byte() {
        let is_damaged = |step: &Step| matches!(step, Step::Damaged(_));
        for seal in [true, false] {
            assert!(is_damaged(&check(seal, |bytes| bytes[200] ^= 1)), "in a batch, {seal}");
            assert!(is_damaged(&check(seal, |bytes| *bytes.last_mut().unwrap() ^= 1)), "at the end, {seal}");
        }
    }
}
