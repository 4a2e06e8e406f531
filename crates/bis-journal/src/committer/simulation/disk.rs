//! A disk in memory that a machine may lose power over: what was not synced is torn, in any part, and names come back.
//!
//! Names (made, renamed, removed files) are durable in order: a crash may take back the last of those that were not synced.
//! [`Faults`] are what goes wrong while there is power.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Random;
use crate::files::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What goes wrong.
#[derive(Default)]
pub(super) struct Faults {
    /// Changes until the power goes; `None` is never.
    pub(super) power: Option<usize>,
    /// No file can grow.
    pub(super) is_full: bool,
    /// How many bytes all files together may have; `None` is unlimited.
    pub(super) capacity: Option<usize>,
    /// Every sync fails.
    pub(super) syncs_fail: bool,
    /// A sync says that it was done, and was not.
    pub(super) syncs_lie: bool,
    /// Some changes fail.
    pub(super) flaky: Option<Flaky>,
}

/// Makes one in this many changes of a kind fail.
pub(super) struct Flaky {
    pub(super) random: Random,
    pub(super) one_of: u64,
    pub(super) target: Target,
}

/// What a fault is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Everything,
    /// Everything that a checkpoint is made of.
    Checkpoints,
    /// Making a segment, and the writes to it before it has a batch.
    NewSegments,
    /// Writes and cuts of segments, but no sync of one: that stops a router for good.
    Segments,
    /// Renaming and removing files, and making names durable.
    Names,
}

/// A change of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Make,
    Write { at: u64 },
    Sync,
    Name,
}

impl Target {
    fn is_hit(self, name: &str, act: Act) -> bool {
        let is_segment = name.ends_with(".segment");
        match self {
            Self::Everything => true,
            Self::Checkpoints => name.starts_with("checkpoint"),
            Self::NewSegments => is_segment && matches!(act, Act::Make | Act::Write { at: 0..=63 }),
            Self::Segments => is_segment && matches!(act, Act::Write { .. }),
            Self::Names => act == Act::Name,
        }
    }
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Default)]
struct File {
    current: Vec<u8>,
    synced: Vec<u8>,
    /// What happened since the last sync.
    unsynced: Vec<Change>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Change::Write(offset, written) => {
            let offset = usize::try_from(*offset).unwrap();
            if bytes.len() < offset + written.len() {
                bytes.resize(offset + written.len(), 0);
            }
            bytes[offset..offset + written.len()].copy_from_slice(written);
        }
    }
}

enum NameChange {
    Made(String),
    Removed(String, File),
    Renamed { from: String, to: String, replaced: Option<File> },
}

/// The files as they were before a change of names.
fn take_back(files: &mut BTreeMap<String, File>, change: &NameChange) {
    match change {
        NameChange::Made(name) => {
            files.remove(name);
        }
        NameChange::Removed(name, file) => {
            files.insert(name.clone(), file.clone());
        }
        NameChange::Renamed { from, to, replaced } => {
            if let Some(file) = files.remove(to) {
                files.insert(from.clone(), file);
            }
            if let Some(replaced) = replaced {
                files.insert(to.clone(), replaced.clone());
            }
        }
    }
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, File>,
    faults: Faults,
    failed: usize,
    /// Changes of names that a crash may take back, the oldest first.
    names: Vec<NameChange>,
}

impl Inner {
    fn change(&mut self, name: &str, act: Act) -> io::Result<()> {
        if let Some(flaky) = &mut self.faults.flaky
            && flaky.target.is_hit(name, act)
            && flaky.random.below(flaky.one_of) == 0
        {
            self.failed += 1;
            return Err(io::Error::other("input/output error"));
        }
        match &mut self.faults.power {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The disk; clones share it.
#[derive(Clone, Default)]
pub(super) struct SimulatedDisk(Arc<Mutex<Inner>>);

impl SimulatedDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// From now on these faults happen.
    pub(super) fn set(&self, faults: Faults) {
        self.inner().faults = faults;
    }

    /// Whether the power is gone.
    pub(super) fn is_dead(&self) -> bool {
        self.inner().faults.power == Some(0)
    }

    /// How many changes were made to fail.
    pub(super) fn failed(&self) -> usize {
        self.inner().failed
    }

    /// Flips the lowest bit of the byte that this text begins with, wherever it is.
    pub(super) fn flip(&self, text: &[u8]) {
        for file in self.inner().files.values_mut() {
            if let Some(at) = file.current.windows(text.len()).position(|window| window == text) {
                file.current[at] ^= 1;
                file.synced = file.current.clone();
            }
        }
    }

    /// What a machine finds after the power went: synced bytes, and any part of the others.
    pub(super) fn after_crash(&self, random: &mut Random) -> Self {
        let mut files = BTreeMap::new();
        let inner = self.inner();
        let mut before = inner.files.clone();
        let lost = random.below(inner.names.len() as u64 + 1);
        for change in inner.names.iter().rev().take(usize::try_from(lost).unwrap()) {
            take_back(&mut before, change);
        }
        for (name, file) in &before {
            let mut bytes = file.synced.clone();
            for change in &file.unsynced {
                match change {
                    Change::Write(offset, written) => {
                        for (index, sector) in written.chunks(SECTOR).enumerate() {
                            if random.below(2) == 0 {
                                let at = offset + (index * SECTOR) as u64;
                                apply(&mut bytes, &Change::Write(at, sector.to_vec()));
                            }
                        }
                    }
                    Change::Length(_) if random.below(2) == 0 => {}
                    Change::Length(_) => apply(&mut bytes, change),
                }
            }
            let file = File { current: bytes.clone(), synced: bytes, unsynced: Vec::new() };
            files.insert(name.clone(), file);
        }
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })))
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.inner().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        if !inner.files.contains_key(name) {
            inner.change(name, Act::Make)?;
            inner.files.insert(name.to_owned(), File::default());
            inner.names.push(NameChange::Made(name.to_owned()));
        }
        Ok(Arc::new(Open { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change(name, Act::Name)?;
        if let Some(file) = inner.files.remove(name) {
            inner.names.push(NameChange::Removed(name.to_owned(), file));
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change(from, Act::Name)?;
        let file = inner.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let replaced = inner.files.insert(to.to_owned(), file);
        inner.names.push(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change("", Act::Name)?;
        if !inner.faults.syncs_lie {
            inner.names.clear();
        }
        Ok(())
    }
}

struct Open {
    disk: SimulatedDisk,
    name: String,
}

impl Open {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let at = match &change {
            Change::Write(offset, _) => *offset,
            Change::Length(length) => *length,
        };
        let is_full = inner.faults.is_full;
        let used: usize = inner.files.values().map(|file| file.current.len()).sum();
        let free = inner.faults.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used));
        let result = inner.change(&self.name, Act::Write { at });
        let file = inner.files.entry(self.name.clone()).or_default();
        if let Change::Write(offset, bytes) = &change {
            let growth = (*offset as usize + bytes.len()).saturating_sub(file.current.len());
            if growth > 0 && (is_full || growth > free) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        // A write that fails, or that the power interrupts, may have happened in part.
        apply(&mut file.current, &change);
        file.unsynced.push(change);
        result
    }
}

impl DiskFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let Some(file) = inner.files.get(&self.name) else { return Ok(0) };
        let from = usize::try_from(offset).unwrap().min(file.current.len());
        let count = buffer.len().min(file.current.len() - from);
        buffer[..count].copy_from_slice(&file.current[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.change(&self.name, Act::Sync)?;
        if inner.faults.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        if !inner.faults.syncs_lie {
            let file = inner.files.entry(self.name.clone()).or_default();
            file.synced = file.current.clone();
            file.unsynced.clear();
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.inner().files.get(&self.name).map_or(0, |file| file.current.len() as u64))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }
}
