//! Watching the sources: which saved files matter, and one event for a burst of saves.
//!
//! Folders are watched one by one, because a recursive watch would follow cargo's `target` with its thousands of folders.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::run::event::Event;

/// A burst of saves ends when nothing was saved for this long, or after [`BURST_LIMIT`].
const QUIET: Duration = Duration::from_millis(60);
/// The longest burst.
const BURST_LIMIT: Duration = Duration::from_secs(1);
/// Notifications that wait to be looked at. What does not fit belongs to a burst that is noticed anyway.
const PENDING: usize = 1024;

/// Watches folders for as long as it lives.
#[derive(Debug)]
pub(crate) struct Watch {
    folders: watch::Sender<BTreeSet<PathBuf>>,
}

impl Watch {
    /// Starts to watch a folder and all below it; [`Event::Changed`] follows.
    pub(crate) fn start(folder: &Path, events: mpsc::Sender<Event>) -> notify::Result<Self> {
        let (sender, notifications) = mpsc::channel(PENDING);
        let watcher = notify::recommended_watcher(move |notification: notify::Result<notify::Event>| {
            if let Ok(notification) = notification
                && !matches!(notification.kind, EventKind::Access(_))
            {
                let _ = sender.try_send(notification);
            }
        })?;
        let (folders, added) = watch::channel(BTreeSet::new());
        let mut state = Loop { watcher, watched: BTreeSet::new(), notifications, added, events };
        // Before the first build starts, so that nothing saved during it goes unnoticed.
        state.watch(folder);
        tokio::spawn(state.run());
        Ok(Self { folders })
    }

    /// Watches these folders too, and all below them.
    pub(crate) fn add(&self, folders: &BTreeSet<PathBuf>) {
        self.folders.send_modify(|known| known.extend(folders.iter().cloned()));
    }
}

struct Loop {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    notifications: mpsc::Receiver<notify::Event>,
    added: watch::Receiver<BTreeSet<PathBuf>>,
    events: mpsc::Sender<Event>,
}

impl Loop {
    async fn run(mut self) {
        loop {
            tokio::select! {
                added = self.added.changed() => {
                    if added.is_err() {
                        return;
                    }
                    let folders = self.added.borrow_and_update().clone();
                    for folder in &folders {
                        self.watch(folder);
                    }
                }
                notification = self.notifications.recv() => {
                    let Some(notification) = notification else { return };
                    let changed = self.burst(notification).await;
                    if !changed.is_empty() && self.events.send(Event::Changed(changed)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Collects what is saved until it is quiet again.
    async fn burst(&mut self, first: notify::Event) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        let end = Instant::now() + BURST_LIMIT;
        self.note(first, &mut changed);
        while let Ok(Some(next)) =
            timeout_at(end.min(Instant::now() + QUIET), self.notifications.recv()).await
        {
            self.note(next, &mut changed);
        }
        changed
    }

    fn note(&mut self, notification: notify::Event, changed: &mut BTreeSet<PathBuf>) {
        let may_be_new_folder = matches!(
            notification.kind,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) | EventKind::Any
        );
        for path in notification.paths {
            if !path.exists() {
                self.watched.retain(|folder| !folder.starts_with(&path));
            }
            if may_be_new_folder && path.is_dir() && !ignored(&path) {
                changed.extend(self.watch(&path).into_iter().filter(|file| matters(file)));
            } else if matters(&path) {
                changed.insert(path);
            }
        }
    }

    /// Watches a folder and those below it, and gives the files found on the way: in a folder that was just made they may be
    /// older than its watch.
    fn watch(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut left = vec![folder.to_path_buf()];
        while let Some(folder) = left.pop() {
            if !self.watched.insert(folder.clone()) {
                continue;
            }
            // A folder that is gone again, or cannot be read, has nothing to tell.
            let _ = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && !ignored(&entry.path()) => left.push(entry.path()),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        files
    }
}

/// Cargo's output, hidden folders (`.git`, `.bis`), and other tools' dependencies.
fn ignored(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with('.')
        || name == "node_modules"
        || folder.join("CACHEDIR.TAG").exists()
        || (name == "target" && folder.with_file_name("Cargo.toml").exists())
}

/// Rust sources, manifests, and what stands in a folder of migrations.
fn matters(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let hidden = name.starts_with('.') || name.ends_with('~');
    !hidden && (path.extension() == Some(OsStr::new("rs")) || name == "Cargo.toml" || is_migration(path))
}

/// Whether the file is one that cargo may not know: the program is started anew even when cargo did not change it.
pub(crate) fn is_migration(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("sql"))
        && path.components().any(|component| component.as_os_str() == "migrations")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_manifests_and_migrations_matter() {
        for path in ["/a/src/lib.rs", "/a/Cargo.toml", "/a/migrations/orders/1_init.sql", "/a/build.rs"] {
            assert!(matters(Path::new(path)), "{path}");
        }
        for path in [
            "/a/README.md",
            "/a/Cargo.lock",
            "/a/src/.lib.rs.swp",
            "/a/src/.#lib.rs",
            "/a/query.sql",
            "/a/lib.rs~",
        ] {
            assert!(!matters(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn cargo_output_is_ignored_but_not_a_module_called_target() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("src/target");
        std::fs::create_dir_all(&module).unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        std::fs::create_dir(folder.path().join("target")).unwrap();
        assert!(!ignored(&module));
        assert!(ignored(&folder.path().join("target")));
        assert!(ignored(&folder.path().join(".git")));
    }
}
