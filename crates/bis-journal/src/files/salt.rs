//! The random bytes that every checksum of a journal is seeded with, in a file of their own beside the segments.
//!
//! Without knowing them, nobody can write a body that is taken for records. They are in every segment's header too, so that
//! no single file is needed to read the others.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use super::disk::Disk;
use super::fetch::read_up_to;
use super::record::read_u32;

const MAGIC: &[u8; 8] = b"BISSALT1";
const LENGTH: usize = 28;
const NAME: &str = "salt";

/// A journal's salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; 16]);

impl Salt {
    /// A new one from the operating system, by the standard library's keys for hash maps.
    pub(crate) fn random() -> Self {
        let half = || u128::from(RandomState::new().hash_one(()));
        Self((half() << 64 | half()).to_le_bytes())
    }

    /// Reads the file among these names; `None` when it is not there or does not hold.
    pub(crate) fn load(disk: &Arc<dyn Disk>, names: &[String]) -> io::Result<Option<Self>> {
        if !names.iter().any(|name| name == NAME) {
            return Ok(None);
        }
        let bytes = read_up_to(&*disk.open(NAME)?, 0, LENGTH)?;
        let holds = bytes.len() == LENGTH
            && &bytes[0..8] == MAGIC
            && read_u32(&bytes, 24) == crc32c::crc32c(&bytes[0..24]);
        Ok(holds.then(|| Self(bytes[8..24].try_into().expect("16 bytes are 16 bytes"))))
    }

    /// Makes the file durable.
    pub(crate) fn store(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        let mut bytes = [MAGIC.as_slice(), &self.0].concat();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let file = disk.open(NAME)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        disk.sync_names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(Salt::random(), Salt::random());
    }
}
