//! Room on the disk that publishes cannot take: a file that is given up when the disk is full, so that there is room for what
//! frees it again. Settlements and footers get most of it; the last part is for checkpoints alone, without which nothing can
//! be removed.
//!
//! It holds room and no data, and knows nothing of who may use the room.

use std::io;
use std::sync::Arc;

use super::disk::Disk;

/// The file.
const NAME: &str = "reserve";
/// This many checkpoints fit in the last part: one that is written while both others are there, and as much as it may have
/// grown since the last one.
const CHECKPOINTS: u64 = 2;
/// This part of the reserve is for checkpoints, beside the room for those that are known.
const LAST_PART: u64 = 4;
/// Keeping it requires this part of it as free room on top, so that it is not given up again at once.
const FREE_PART: u64 = 4;

/// What is kept of the last part is determined to this fraction of it.
const STEPS: u64 = 256;

pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    /// Its bytes without those for known checkpoints.
    least: u64,
    /// The bytes for known checkpoints.
    checkpoints: u64,
    /// How many bytes it holds.
    kept: u64,
}

impl Reserve {
    /// This many bytes and room for checkpoints. An existing one is taken over.
    pub(crate) fn new(disk: Arc<dyn Disk>, least: u64) -> Self {
        let mut reserve = Self { disk, least, checkpoints: 0, kept: 0 };
        reserve.kept = reserve.take_over().unwrap_or(0);
        reserve
    }

    /// How many bytes it is to hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.least + self.checkpoints
    }

    /// How many bytes of it are for checkpoints.
    fn last(&self) -> u64 {
        self.least / LAST_PART + self.checkpoints
    }

    /// A checkpoint has this many bytes.
    pub(crate) fn fit(&mut self, checkpoint: u64) {
        self.checkpoints = CHECKPOINTS * checkpoint;
    }

    /// Keeps the room, or as much of it as was kept before a checkpoint grew.
    ///
    /// # Errors
    /// The disk's, when less is kept than what everybody but publishes may need.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        if self.kept >= self.bytes() {
            return Ok(());
        }
        match self.take(self.bytes(), self.bytes() / FREE_PART) {
            Err(_) if self.kept >= self.least => Ok(()),
            taken => taken,
        }
    }

    /// Keeps the last part again, for the next checkpoint, or as much of it as there is: one that has grown by a few bytes leaves
    /// less, and without any of it no checkpoint would be written any more.
    ///
    /// # Errors
    /// The disk's, when it is not the whole part.
    pub(crate) fn keep_last(&mut self) -> io::Result<()> {
        if self.kept >= self.last() {
            return Ok(());
        }
        let taken = self.take(self.last(), 0);
        let (mut least, mut most) = (self.kept, self.last());
        while taken.is_err() && most - least > self.last() / STEPS {
            let middle = least.midpoint(most);
            match self.take(middle, 0) {
                Ok(()) => least = middle,
                Err(_) => most = middle,
            }
        }
        taken
    }

    /// Gives all up but the last part.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        if self.kept > self.last() {
            self.disk.open(NAME)?.set_length(self.last())?;
            self.kept = self.last();
        }
        Ok(())
    }

    /// Gives the last part up, too.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn release_last(&mut self) -> io::Result<()> {
        self.kept = 0;
        release(&*self.disk)
    }

    /// Takes room for this many bytes, if there is as much and `free`.
    fn take(&mut self, bytes: u64, free: u64) -> io::Result<()> {
        let file = self.disk.open(NAME)?;
        let taken = file.allocate(bytes + free);
        self.kept = if taken.is_ok() { bytes } else { self.kept };
        file.set_length(self.kept)?;
        taken
    }

    fn take_over(&self) -> io::Result<u64> {
        if !self.disk.list()?.iter().any(|name| name == NAME) {
            return Ok(0);
        }
        let file = self.disk.open(NAME)?;
        let length = file.length()?;
        // What a crash interrupted may be shorter, or lack the room that its length says.
        file.allocate(length)?;
        Ok(length)
    }
}

/// Gives up the room in a folder where nobody keeps it yet.
///
/// # Errors
/// The disk's.
pub(crate) fn release(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether there was no room on the disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
