//! The folders for which the system sends notifications. A folder is registered by its identity, not by its name: a
//! replaced folder is a different one.
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
    /// `None` when the system provides no watcher.
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

    /// Registers new folders, and drops those that no longer exist; returns whether a folder was registered.
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

    /// Marks the registrations of a path, and of everything below it, as lost.
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

    /// Whether the folder belongs to a package.
    pub(crate) fn is_walked(&self, folder: &Path) -> bool {
        self.walked.contains(folder)
    }

    /// Whether there are folders without notifications from the system.
    pub(crate) fn is_limited(&self) -> bool {
        self.watcher.is_none() || self.refused > 0
    }
}
