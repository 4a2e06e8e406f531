//! The journal's only way to storage: a flat folder of files behind two traits, so that a simulated disk can take its
//! place and tear writes, drop syncs or run full.
//!
//! It knows nothing of what the bytes mean.

use std::io;
use std::sync::Arc;

/// How many zeros are written at once to take room.
const ALLOCATE_BYTES: usize = 256 * 1024;

/// A folder of files.
pub trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file to read and write, making an empty one if it is not there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// A file that is there, to be opened whenever it is read: for the many that are seldom needed.
    fn open_on_demand(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open(name)
    }
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing what has the name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names durable: files made, renamed and removed so far.
    fn sync_names(&self) -> io::Result<()>;
}

/// One file. Reads and writes say where; there is no current position.
pub trait DiskFile: Send + Sync {
    /// Reads up to the buffer's length; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all written bytes durable. After an error nothing is known of them: never call it again on the file.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reserves room for this many bytes from the beginning on. What the file holds there is lost.
    fn allocate(&self, length: u64) -> io::Result<()> {
        write_zeros(self, length)
    }
    /// Returns a message when the file's path no longer leads to it, because the folder or the file was removed or
    /// replaced: then nobody will find what is written.
    ///
    /// # Errors
    /// What happened to it.
    fn check_place(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Writes zeros from the beginning on.
pub(super) fn write_zeros(file: &(impl DiskFile + ?Sized), length: u64) -> io::Result<()> {
    let zeros = vec![0; ALLOCATE_BYTES];
    let mut offset = 0;
    while offset < length {
        let count = ALLOCATE_BYTES.min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        file.write_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}
