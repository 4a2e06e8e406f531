//! Which folders the system notifies of. A folder is registered by what it is, not by its name: one that was replaced is
//! another.
//!
//! Folders are registered one by one, because a recursive registration would follow cargo's `target` with its thousands of
//! folders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher};

use crate::run::watch::inputs::{Folder, Identity};

/// The registrations with one watcher.
#[derive(Debug)]
pub(crate) struct Registrations<W> {
    /// `None` when the system gives no watcher.
    watcher: Option<W>,
    registered: HashMap<Identity, PathBuf>,
    walked: HashSet<PathBuf>,
    /// Folders that the system refuses to watch.
    refused: usize,
}

impl<W: Watcher> Registrations<W> {
    pub(crate) fn new(watcher: Option<W>) -> Self {
        Self { watcher, registered: HashMap::new(), walked: HashSet::new(), refused: 0 }
    }

    /// Registers what is not, and gives up what is no longer there; returns whether a folder was registered.
    pub(crate) fn renew(&mut self, folders: &BTreeMap<Identity, Folder>) -> bool {
        self.walked = folders.values().filter(|f| f.is_walked).map(|f| f.path.clone()).collect();
        let Some(watcher) = &mut self.watcher else { return false };
        self.registered.retain(|identity, path| {
            let stays = folders.get(identity).is_some_and(|folder| folder.path == *path);
            if !stays {
                // It may be gone already.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let mut is_new = false;
        self.refused = 0;
        for (identity, folder) in folders {
            if self.registered.contains_key(identity) {
                continue;
            }
            match watcher.watch(&folder.path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    is_new = true;
                    self.registered.insert(*identity, folder.path.clone());
                }
                Err(_) if folder.path.is_dir() => self.refused += 1,
                // It is gone again.
                Err(_) => {}
            }
        }
        is_new
    }

    /// Takes the registrations of a path, and of all below it, as lost.
    pub(crate) fn forget(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        self.registered.retain(|_, registered| {
            let stays = !registered.starts_with(path);
            if !stays {
                let _ = watcher.unwatch(registered);
            }
            stays
        });
    }

    /// Whether the folder is of a package.
    pub(crate) fn is_walked(&self, folder: &Path) -> bool {
        self.walked.contains(folder)
    }

    /// Whether there are folders that the system does not notify of.
    pub(crate) fn is_limited(&self) -> bool {
        self.watcher.is_none() || self.refused > 0
    }
}
