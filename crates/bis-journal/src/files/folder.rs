//! A folder of the operating system, as the journal's disk. Its files can be read by their owner alone.
//!
//! Everything is done in the folder that was opened, whatever has its path since: nothing is ever written into another
//! router's. Old segments are opened when they are read, so that a long journal does not take a descriptor for each.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{AtFlags, Dir, FallocateFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::disk::{Disk, DiskFile, write_zeros};

/// How many files that are opened on demand stay open.
const KEPT_OPEN: usize = 64;
/// How many descriptors are kept for when clients have taken all others.
const SPARE: usize = 4;
/// Files can be read by their owner alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A folder. Clones share it.
#[derive(Debug, Clone)]
pub struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    handle: File,
    /// What was opened on demand, the longest unused first.
    kept: Mutex<VecDeque<(String, Arc<File>)>>,
    spare: Mutex<Vec<File>>,
}

/// Makes a folder that only its owner can enter, unless it is there.
///
/// # Errors
/// The system's.
pub fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

impl Folder {
    /// The folder at `path`, which must exist.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let handle = File::open(&path)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (kept, spare) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { path, handle, kept, spare })))
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, VecDeque<(String, Arc<File>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let open =
            || openat(&self.handle, name, flags | OFlags::RDWR | OFlags::CLOEXEC, Mode::from(FILE_MODE));
        let opened = match open() {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.kept().clear();
                self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
                open()
            }
            opened => {
                self.keep_spare();
                opened
            }
        };
        let file = File::from(opened.map_err(|error| named(name, &error.into()))?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("`{name}` is not a plain file; move it out of the folder")));
        }
        Ok(file)
    }

    fn keep_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        while spare.len() < SPARE {
            let Ok(handle) = self.handle.try_clone() else { return };
            spare.push(handle);
        }
    }

    /// A file that is there, from those that are open or opened now.
    fn on_demand(&self, name: &str) -> io::Result<Arc<File>> {
        let known = {
            let mut kept = self.kept();
            let at = kept.iter().position(|(open, _)| open == name);
            at.and_then(|at| kept.remove(at)).map(|(_, file)| file)
        };
        let file = match known {
            Some(file) => file,
            None => Arc::new(self.open(name, OFlags::empty())?),
        };
        let mut kept = self.kept();
        kept.push_back((name.to_owned(), Arc::clone(&file)));
        while kept.len() > KEPT_OPEN {
            kept.pop_front();
        }
        Ok(file)
    }

    /// Closes what is open of this name: as long as it is open, a file that was removed takes room.
    fn close(&self, name: &str) {
        self.kept().retain(|(open, _)| open != name);
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0.handle)? {
            if let Ok(name) = String::from_utf8(entry?.file_name().to_bytes().to_vec())
                && name != "."
                && name != ".."
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(name, OFlags::CREATE)?;
        Ok(Arc::new(PlainFile::new(&self.0, name, Handle::Held(file))))
    }

    fn open_on_demand(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(PlainFile::new(&self.0, name, Handle::OnDemand)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        unlinkat(&self.0.handle, name, AtFlags::empty())?;
        self.0.close(name);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        renameat(&self.0.handle, from, &self.0.handle, to)?;
        self.0.close(from);
        self.0.close(to);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.handle.sync_all()
    }
}

/// Of many files, a person must know which.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{name}`: {error}"))
}

enum Handle {
    Held(File),
    /// Opened when it is used.
    OnDemand,
}

struct PlainFile {
    folder: Arc<Inner>,
    name: String,
    file: Handle,
    /// Which file it is for the system, once that was asked.
    identity: OnceLock<(u64, u64)>,
}

impl PlainFile {
    fn new(folder: &Arc<Inner>, name: &str, file: Handle) -> Self {
        Self { folder: Arc::clone(folder), name: name.to_owned(), file, identity: OnceLock::new() }
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        if let Some(known) = self.identity.get() {
            return Ok(*known);
        }
        let metadata = self.with(File::metadata)?;
        Ok(*self.identity.get_or_init(|| (metadata.dev(), metadata.ino())))
    }

    fn with<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &self.file {
            Handle::Held(file) => act(file),
            Handle::OnDemand => act(&*self.folder.on_demand(&self.name)?),
        }
    }
}

impl DiskFile for PlainFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let mut read = 0;
            while read < buffer.len() {
                match file.read_at(&mut buffer[read..], offset + read as u64) {
                    Ok(0) => break,
                    Ok(count) => read += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(named(&self.name, &error)),
                }
            }
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.write_all_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(File::sync_data)
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|file| file.set_len(length))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        // Some file systems cannot take room without writing, and say so in different words.
        let allocated =
            self.with(|file| Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)))?;
        match allocated {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(self, length),
            allocated => Ok(allocated?),
        }
    }

    fn check_place(&self) -> Result<(), String> {
        let path = self.folder.path.join(&self.name);
        // Whether it is there is not known when there is no identity: the next write meets the error.
        let Ok(ours) = self.identity() else { return Ok(()) };
        match fs::metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == ours => Ok(()),
            Ok(_) => Err(format!("`{}` was replaced while the router ran", path.display())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(format!("`{}` was removed or moved while the router ran", path.display()))
            }
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open_files() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn many_files_on_demand_take_few_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Folder::open(folder.path()).unwrap();
        let before = open_files();
        let files: Vec<_> = (0..500)
            .map(|number| {
                let name = number.to_string();
                disk.open(&name).unwrap().write_at(name.as_bytes(), 0).unwrap();
                (name.clone(), disk.open_on_demand(&name).unwrap())
            })
            .collect();
        for (name, file) in &files {
            let mut bytes = vec![0; name.len()];
            assert_eq!(file.read_at(&mut bytes, 0).unwrap(), name.len());
            assert_eq!(bytes, name.as_bytes());
        }
        // Other tests of the process open files, too, though not so many.
        assert!(open_files() < before + 300, "{} descriptors", open_files() - before);
        disk.remove("7").unwrap();
        assert_eq!(
            files[7].1.length().unwrap_err().kind(),
            io::ErrorKind::NotFound,
            "removed, and not made anew"
        );
    }

    #[test]
    fn everything_happens_in_the_folder_that_was_opened_and_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("some/data");
        make(&path).unwrap();
        make(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let disk = Folder::open(&path).unwrap();
        let file = disk.open("file").unwrap();
        assert_eq!(mode(&path.join("file")), 0o600);
        assert_eq!(file.check_place(), Ok(()));
        fs::rename(&path, parent.path().join("moved")).unwrap();
        assert!(file.check_place().unwrap_err().contains("removed or moved"));
        make(&path).unwrap();
        fs::write(path.join("file"), "another's").unwrap();
        assert!(file.check_place().unwrap_err().contains("replaced"));
        disk.open("other").unwrap();
        disk.rename("other", "another").unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        assert_eq!(disk.list().unwrap().len(), 2);
    }
}
