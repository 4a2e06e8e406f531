//! Verifies a sealed segment, a little at a time, before somebody needs what is in it.
//!
//! It only reads. Who calls it decides how fast, and reports what it finds.

use std::io;
use std::sync::Arc;

use super::batch::{self, BATCH_HEADER, Batch};
use super::damage::Damage;
use super::disk::DiskFile;
use super::fetch::{read_up_to, read_whole};
use super::footer::TRAILER;
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
    /// Of a sealed segment with so many bytes.
    pub(crate) fn new(segment: Segment, file: Arc<dyn DiskFile>, bytes: u64) -> Self {
        Self { segment, file, at: SEGMENT_HEADER as u64, end: bytes.saturating_sub(TRAILER as u64) }
    }

    /// Reads on.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
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
