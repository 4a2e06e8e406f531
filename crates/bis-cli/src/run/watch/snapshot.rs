//! The content of the watched files at the last check, and what has changed since: a save counts if the content changes.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::run::watch::inputs::{Found, Identity, Listing};

/// A file that was written this shortly before it was read may be written again within its clock's tick.
const RACY: Duration = Duration::from_millis(100);

/// The files at the last check.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    files: BTreeMap<PathBuf, State>,
    /// The paths of files that are gone, with links followed.
    gone: BTreeMap<PathBuf, PathBuf>,
    others: BTreeSet<PathBuf>,
    targets: HashSet<OsString>,
}

#[derive(Debug)]
struct State {
    stamp: Stamp,
    /// Whether the same stamp means the same content.
    is_settled: bool,
    hash: u64,
    folder: Option<Identity>,
    /// The path with all links followed.
    real: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What has changed between two checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Files with changed content, new files and removed ones.
    pub(crate) files: BTreeMap<PathBuf, Option<Moment>>,
    /// Files that were written but have the content of the last check.
    pub(crate) touched: BTreeMap<PathBuf, Option<Moment>>,
    /// The former targets of changed paths, with links followed, where they differ: cargo goes by these files.
    pub(crate) left: BTreeSet<PathBuf>,
}

/// The times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Its modification time, which cargo uses.
    pub(crate) modified: SystemTime,
    /// When it was written or got its name.
    pub(crate) written: SystemTime,
    /// When its path began to lead to it: later than `written` if a link or folder was replaced.
    pub(crate) arrived: SystemTime,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.touched.is_empty()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.touched.extend(other.touched);
        self.left.extend(other.left);
    }
}

impl Snapshot {
    /// The files as they are now.
    pub(crate) fn of(listing: &Listing) -> Self {
        let mut snapshot = Self::default();
        snapshot.update(listing, Some(SystemTime::now() + RACY), false);
        snapshot
    }

    /// Whether there was a file, or a link to a file, with this name.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.files.contains_key(path) || path.file_name().is_some_and(|name| self.targets.contains(name))
    }

    /// Compares with the last check. With `since`, files that did not exist count only if they were written after it.
    pub(crate) fn update(
        &mut self,
        listing: &Listing,
        since: Option<SystemTime>,
        any_new_file: bool,
    ) -> Changes {
        let mut changes = Changes::default();
        for (path, found) in &listing.files {
            let stamp = Stamp::of(&found.metadata);
            let known = self.files.get(path);
            if known.is_some_and(|state| state.is_settled && state.stamp == stamp) {
                continue;
            }
            let began = SystemTime::now();
            // Gone since it was listed, or not readable: the next check will see it.
            let Ok(bytes) = fs::read(path) else { continue };
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            let hash = hasher.finish();
            let moment = moment(found, known);
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let before = known.map(|known| known.real.clone()).or_else(|| self.gone.remove(path));
            let is_elsewhere = before.as_ref().is_some_and(|before| *before != real);
            changes.left.extend(before.filter(|_| is_elsewhere));
            let is_settled = moment.written + RACY < began;
            match known {
                Some(known) if known.hash != hash || is_elsewhere => {
                    _ = changes.files.insert(path.clone(), Some(moment))
                }
                Some(known) if known.stamp != stamp => {
                    changes.touched.insert(path.clone(), Some(moment));
                }
                Some(_) => {}
                None if since.is_some_and(|since| moment.written < since) => {}
                None => _ = changes.files.insert(path.clone(), Some(moment)),
            }
            let folder = found.folder;
            self.files.insert(path.clone(), State { stamp, is_settled, hash, folder, real });
        }
        self.files.retain(|path, state| {
            let stays = listing.files.contains_key(path);
            if !stays {
                changes.files.insert(path.clone(), None);
                changes.left.extend((state.real != *path).then(|| state.real.clone()));
                self.gone.insert(path.clone(), state.real.clone());
            }
            stays
        });
        if any_new_file && since.is_none() {
            let new = listing.others.iter().filter(|(path, _)| !self.others.contains(*path));
            changes.files.extend(new.map(|(path, found)| (path.clone(), Some(moment(found, None)))));
        }
        self.others = listing.others.keys().cloned().collect();
        self.targets.clone_from(&listing.targets);
        changes
    }
}

fn moment(found: &Found, known: Option<&State>) -> Moment {
    let changed = |metadata: &Metadata| time(metadata.ctime(), metadata.ctime_nsec());
    let written = changed(&found.metadata);
    let linked = found.link.as_ref().map_or(written, changed);
    let is_same_folder = known.is_some_and(|known| known.folder == found.folder);
    let arrived = if is_same_folder { written.max(linked) } else { SystemTime::now() };
    let modified = time(found.metadata.mtime(), found.metadata.mtime_nsec());
    Moment { modified, written, arrived }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let seconds = Duration::from_secs(seconds.try_into().unwrap_or_default());
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(nanoseconds.try_into().unwrap_or_default())
}
