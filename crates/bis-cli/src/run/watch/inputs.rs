//! Which files a build may read, and a listing of those that exist.
//!
//! Nothing here reads a file or remembers what it saw.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The most symbolic links to follow in a chain.
const LINKS: usize = 8;
/// What cargo reads in the folders above a package, besides the sources.
const ABOVE: [&str; 7] = [
    ".cargo/config.toml",
    ".cargo/config",
    "Cargo.lock",
    "Cargo.toml",
    "bis.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
];

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Folders of packages: the sources below them, whether they exist yet or not.
    folders: BTreeSet<PathBuf>,
    /// Files by name, and folders with all that is in them, whether they exist yet or not.
    exact: BTreeSet<PathBuf>,
    /// Every part of the paths in `exact`.
    names: HashSet<OsString>,
}

/// The existing files.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The relevant files.
    pub(crate) files: BTreeMap<PathBuf, Found>,
    /// The other files in the folders of packages.
    pub(crate) others: BTreeMap<PathBuf, Found>,
    /// The targets of links.
    pub(crate) targets: HashSet<OsString>,
    /// The folders that are searched for files, each once.
    pub(crate) folders: BTreeMap<Identity, Folder>,
}

/// A file.
#[derive(Debug)]
pub(crate) struct Found {
    /// The metadata of the file, with links followed.
    pub(crate) metadata: Metadata,
    /// The metadata of the link, if it is one.
    pub(crate) link: Option<Metadata>,
    /// The folder that contains it.
    pub(crate) folder: Option<Identity>,
}

/// A folder, by one of its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Whether it belongs to a package, so that any file in it may be a source.
    pub(crate) is_walked: bool,
}

/// The identity of a folder, independent of its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Inputs {
    /// The package in `folder`, and what cargo reads above it.
    pub(crate) fn of_package(folder: &Path) -> Self {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
        let above = folder.ancestors().flat_map(|folder| ABOVE.iter().map(|name| folder.join(name)));
        let exact = above.chain(home.map(|home| home.join("config.toml"))).collect();
        Self::new([folder.to_owned()].into(), exact)
    }

    /// The sources in the folders of packages, and the files with these names.
    pub(crate) fn new(folders: BTreeSet<PathBuf>, exact: BTreeSet<PathBuf>) -> Self {
        let exact: BTreeSet<PathBuf> = exact.iter().map(|path| shortest(path)).collect();
        let names = exact.iter().flat_map(|path| path.iter().map(OsStr::to_owned)).collect();
        Self { folders, exact, names }
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: Self) {
        self.folders.extend(other.folders);
        self.exact.extend(other.exact);
        self.names.extend(other.names);
    }

    /// Whether the path in a notification could belong to a relevant file, judged only by its name: a link may have led there.
    pub(super) fn may_be(&self, path: &Path) -> bool {
        matters(path) || path.file_name().is_some_and(|name| self.names.contains(name))
    }

    /// The files that exist now.
    pub(crate) fn list(&self) -> Listing {
        let mut listing = Listing::default();
        for folder in &self.folders {
            listing.note_folder_of(folder);
            listing.walk(folder, matters);
        }
        for path in &self.exact {
            listing.note_folder_of(path);
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => listing.walk(path, |_| true),
                Ok(metadata) if metadata.is_file() => {
                    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
                    listing.note(path.clone(), metadata, folder.as_ref().map(Identity::of));
                }
                _ => {}
            }
        }
        listing
    }
}

impl Listing {
    /// Lists a folder and those below it, without the output of other tools. A link to a folder above itself is not
    /// followed.
    fn walk(&mut self, folder: &Path, matters: fn(&Path) -> bool) {
        let mut left = vec![(folder.to_owned(), Vec::new())];
        while let Some((path, mut above)) = left.pop() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let identity = Identity::of(&metadata);
            if above.contains(&identity) {
                continue;
            }
            above.push(identity);
            let folder = Folder { path: path.clone(), is_walked: true };
            self.folders.entry(identity).and_modify(|known| known.is_walked = true).or_insert(folder);
            for entry in path.read_dir().into_iter().flatten().flatten() {
                let path = entry.path();
                // A dangling link is not a file yet.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_dir() {
                    if !ignored(&path) {
                        left.push((path, above.clone()));
                    }
                } else if matters(&path) {
                    self.note(path, metadata, Some(identity));
                } else if !is_hidden(&path) {
                    self.others.insert(path, Found { metadata, link: None, folder: Some(identity) });
                }
            }
        }
    }

    fn note(&mut self, path: PathBuf, metadata: Metadata, folder: Option<Identity>) {
        let link = fs::symlink_metadata(&path).ok().filter(Metadata::is_symlink);
        if link.is_some() {
            let mut target = path.clone();
            for _ in 0..LINKS {
                let Ok(next) = fs::read_link(&target) else { break };
                target = target.parent().unwrap_or(&target).join(next);
                self.note_folder_of(&target);
                self.targets.extend(target.file_name().map(OsStr::to_owned));
            }
        }
        self.files.insert(path, Found { metadata, link, folder });
    }

    /// The folder in which this path can change: its own, or the nearest one that exists.
    fn note_folder_of(&mut self, path: &Path) {
        for folder in path.ancestors().skip(1) {
            if let Ok(metadata) = fs::metadata(folder)
                && metadata.is_dir()
            {
                self.folders
                    .entry(Identity::of(&metadata))
                    .or_insert_with(|| Folder { path: folder.to_owned(), is_walked: false });
                return;
            }
        }
    }
}

/// The path without `..`, where that leads to the same place.
fn shortest(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = short.pop(),
            other => short.push(other),
        }
    }
    match (path.parent().map(Path::canonicalize), short.parent().map(Path::canonicalize)) {
        (Some(Ok(one)), Some(Ok(other))) if one != other => path.to_owned(),
        _ => short,
    }
}

/// Whether the folder is Cargo's output, hidden (`.git`, `.bis`), or holds other tools' dependencies.
fn ignored(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with('.')
        || name == "node_modules"
        || folder.join("CACHEDIR.TAG").exists()
        || (name == "target" && folder.with_file_name("Cargo.toml").exists())
}

/// Whether the file is a Rust source, a manifest, or in a folder of migrations.
fn matters(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    !is_hidden(path)
        && (path.extension() == Some(OsStr::new("rs"))
            || ["Cargo.toml", "bis.toml"].contains(&name)
            || is_migration(path))
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with('.') || name.ends_with('~')
}

/// Whether cargo may not know the file: the program is restarted even when cargo did not change it.
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
        fs::create_dir_all(&module).unwrap();
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        assert!(!ignored(&module));
        assert!(ignored(&folder.path().join("target")));
        assert!(ignored(&folder.path().join(".git")));
    }

    #[test]
    fn a_path_loses_its_detours_but_not_those_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("a/src")).unwrap();
        fs::create_dir_all(at("elsewhere/deep")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere/deep"), at("a/link")).unwrap();
        assert_eq!(shortest(&at("a/src/../x.txt")), at("a/x.txt"));
        assert_eq!(shortest(&at("a/link/../x.txt")), at("a/link/../x.txt"));
    }
}
