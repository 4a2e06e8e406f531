//! The folder `.bis/<namespace>` of an app: which process runs it, at which addresses, and the router's data.
//!
//! It only holds data that `bis run --fresh` may throw away, and nothing outside it is written.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bis_core::name_error;
use serde::{Deserialize, Serialize};

use crate::exit;
use crate::failure::Failure;
use crate::print;

/// The folder of an app that runs without `--namespace`.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// A reader holds the lock for microseconds; a claim that meets one retries this many times.
const CLAIM_ATTEMPTS: u32 = 5;
const CLAIM_PAUSE: Duration = Duration::from_millis(20);
/// Only the user may read events and addresses.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// `.bis/<namespace>` of one app.
#[derive(Debug, Clone)]
pub(crate) struct StateFolder {
    path: PathBuf,
    namespace: String,
}

/// The right to run the app in this namespace. It ends with the process, even after a crash.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: StateFolder,
    _lock: File,
}

/// The addresses of a running app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Process id of the `bis run`.
    pub(crate) pid: u32,
    /// Base address of the public endpoints, `http://127.0.0.1:4000`.
    pub(crate) app: String,
    /// The router's TCP address, `127.0.0.1:4150`.
    pub(crate) router: String,
    /// The router's HTTP address, `127.0.0.1:4151`.
    pub(crate) router_http: String,
}

impl StateFolder {
    /// The state of the app in `folder`. Refuses a namespace that is not kebab-case.
    pub(crate) fn of(folder: &Path, namespace: Option<&str>) -> Result<Self> {
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
        if let Some(reason) = name_error(namespace) {
            return Err(Failure::new(
                exit::USAGE,
                format!("`{namespace}` is not a valid namespace: {reason}"),
            )
            .help("write it like `my-branch`")
            .into());
        }
        Ok(Self { path: folder.join(".bis").join(namespace), namespace: namespace.to_owned() })
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the router keeps its journal.
    pub(crate) fn router_data(&self) -> PathBuf {
        self.path.join("router")
    }

    /// The configuration file for the app.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// Claims the right to run the app here; fails while another `bis run` has it.
    pub(crate) fn claim(&self) -> Result<Claim> {
        self.create()?;
        let lock = create_file(&self.lock()).map_err(|error| unusable("write", &self.lock(), &error))?;
        for attempt in 1.. {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < CLAIM_ATTEMPTS => std::thread::sleep(CLAIM_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(self.taken().into()),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock `{}`", self.lock().display()));
                }
            }
        }
        remove_file(&self.addresses())?;
        Ok(Claim { folder: self.clone(), _lock: lock })
    }

    /// The addresses of the running `bis run`, if there is one and its router has started.
    pub(crate) fn running(&self) -> Result<Option<Running>> {
        let lock = match File::open(self.lock()) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", self.lock().display()));
            }
        };
        // Getting the lock means that no run is active: the file is left over from one that ended.
        if lock.try_lock_shared().is_ok() {
            return Ok(None);
        }
        match fs::read(self.addresses()) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(_) => Ok(None),
        }
    }

    fn create(&self) -> Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        for folder in [parent, &self.path] {
            create_folder(folder).map_err(|error| unusable("make", folder, &error))?;
        }
        let ignore = parent.join(".gitignore");
        match ignore.exists() {
            true => Ok(()),
            false => create_file(&ignore)
                .and_then(|mut file| file.write_all(b"*\n"))
                .map_err(|error| unusable("write", &ignore, &error).into()),
        }
    }

    fn taken(&self) -> Failure {
        let holder = match fs::read(self.addresses()) {
            Ok(bytes) => serde_json::from_slice::<Running>(&bytes).ok(),
            Err(_) => None,
        };
        let of_whom = holder.map(|running| format!(" (process {}, {})", running.pid, running.app));
        Failure::new(
            exit::SURROUNDINGS,
            format!(
                "this app already runs in the namespace `{}`{}",
                self.namespace,
                of_whom.unwrap_or_default()
            ),
        )
        .help("stop it first, or run a second one beside it with `--namespace NAME`")
    }

    fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn addresses(&self) -> PathBuf {
        self.path.join("run.json")
    }
}

impl Claim {
    /// The claimed folder.
    pub(crate) fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// Deletes all events, so that the app starts empty.
    pub(crate) fn clear(&self) -> Result<()> {
        let data = self.folder.router_data();
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove `{}`", data.display()))
            }
            _ => Ok(()),
        }
    }

    /// Publishes the addresses of this run for the other commands.
    pub(crate) fn write_addresses(&self, running: &Running) -> Result<()> {
        self.write(&self.folder.addresses(), running)
    }

    /// Writes the configuration file of the app.
    pub(crate) fn write_config(&self, config: &bis_config::Config) -> Result<()> {
        self.write(&self.folder.config(), config)
    }

    /// Replaces a file atomically: readers see the old file or the new one.
    fn write(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let draft = path.with_extension("json.draft");
        let bytes = serde_json::to_vec_pretty(value)?;
        create_file(&draft)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&draft, path))
            .map_err(|error| unusable("write", path, &error).into())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A failure does not matter: without the lock, the file is ignored.
        let _ = remove_file(&self.folder.addresses());
    }
}

/// Creates a folder for the user only, or restricts an existing one to the user.
fn create_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
        }
        made => made,
    }
}

/// Creates a file for the user only, or empties one of an earlier run.
fn create_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

fn unusable(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit::SURROUNDINGS, format!("cannot {verb} `{}`: {error}", print::path(path))).help(
        "`bis run` keeps its state in the folder `.bis` of the app: see that it can be written, and that the disk \
         has room",
    )
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
