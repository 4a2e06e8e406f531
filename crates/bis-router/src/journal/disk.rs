//! The journal's only way to storage: a flat folder of files behind two traits, so that a simulated disk can take its
//! place and tear writes, drop syncs or run full.
//!
//! It knows nothing of what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// How many zeros are written at once to take room.
const ALLOCATE_BYTES: usize = 256 * 1024;

/// A folder of files.
pub trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file to read and write, making an empty one if it is not there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
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
    /// Takes room for so many bytes from the beginning on. What the file holds there is lost.
    fn allocate(&self, length: u64) -> io::Result<()> {
        write_zeros(self, length)
    }
}

/// A folder of the operating system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`, which must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| named(name, &error))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("`{name}` is not a plain file; move it out of the folder")));
        }
        Ok(Arc::new(PlainFile { name: name.to_owned(), file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn write_zeros(file: &(impl DiskFile + ?Sized), length: u64) -> io::Result<()> {
    let zeros = vec![0; ALLOCATE_BYTES];
    let mut offset = 0;
    while offset < length {
        let count = ALLOCATE_BYTES.min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        file.write_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}

/// Of many files, a person must know which.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{name}`: {error}"))
}

struct PlainFile {
    name: String,
    file: File,
}

impl DiskFile for PlainFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(named(&self.name, &error)),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        // Some file systems cannot take room without writing, and say so in different words.
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(self, length),
            allocated => Ok(allocated?),
        }
    }
}
