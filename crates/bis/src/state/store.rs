//! The resources of one app: which it has, their values, and who reads them. The order of creation and removal is in
//! [`super::creation`] and [`super::part`].

use std::{
    any::{Any, type_name},
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OnceCell;

#[cfg(feature = "testing")]
use super::Resource;
use super::{NoResource, ResourceEntry, creation::Progress, entry::Made, error::NotCreated};
use crate::instance::{PerRuntime, Services};

thread_local! {
    static STORE: PerRuntime<Arc<Store>> = const { PerRuntime::new() };
}

/// Looks at the store of the current app, on behalf of a resource.
pub(super) fn with<R>(entry: &ResourceEntry, look: impl Fn(&Arc<Store>) -> R) -> Result<R, NoResource> {
    PerRuntime::with(&STORE, |instance| instance.extension::<Arc<Store>>().clone(), look)
        .map_err(|app| NoResource::without(app, entry))
}

/// The resources of one app.
pub(crate) struct Store {
    /// One for each resource of the program, under its index.
    cells: Box<[Cell]>,
    /// What is being created, and what waits for what.
    pub(super) progress: Progress,
    /// What was created, in that order, until the app stops.
    owned: Mutex<Vec<Owned>>,
    /// Values that replace what constructors would create.
    replaced: Mutex<Replaced>,
    /// The values are dropped, or about to be.
    is_stopped: AtomicBool,
}

/// A resource in one app.
pub(super) struct Cell {
    pub(super) entry: &'static ResourceEntry,
    /// Whether the app has it.
    is_here: bool,
    /// The result of its constructor: a `Weak` of its type.
    pub(super) outcome: OnceCell<Result<Box<dyn Any + Send + Sync>, NotCreated>>,
}

/// A value that the app keeps.
pub(super) struct Owned {
    pub(super) entry: &'static ResourceEntry,
    pub(super) value: Arc<dyn Any + Send + Sync>,
}

/// Values with which a test replaces those that constructors would create.
#[derive(Default)]
pub struct Replaced(Vec<(&'static ResourceEntry, Made)>);

#[cfg(feature = "testing")]
impl Replaced {
    /// Puts a value in place of a resource's own; of two, the last one counts.
    pub fn put<T: Send + Sync + 'static>(&mut self, resource: &Resource<T>, value: T) {
        let entry = resource.entry();
        self.0.retain(|(other, _)| !std::ptr::eq(*other, entry));
        self.0.push((entry, Made::new(value)));
    }
}

impl Store {
    /// The resources of an app that hosts these services: theirs, and those outside every service.
    pub(crate) fn new(hosted: &Services, replaced: Replaced) -> Self {
        let cell = |entry: &&'static ResourceEntry| Cell {
            entry,
            is_here: entry.service().is_none() || hosted.of(entry.module()).is_some(),
            outcome: OnceCell::new(),
        };
        Self {
            cells: ResourceEntry::all().iter().map(cell).collect(),
            progress: Progress::default(),
            owned: Mutex::default(),
            replaced: Mutex::new(replaced),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// The resources that the app has, in the order of their creation.
    pub(super) fn here(&self) -> impl Iterator<Item = &'static ResourceEntry> {
        self.cells.iter().filter(|cell| cell.is_here).map(|cell| cell.entry)
    }

    /// The cell of a resource, if the app has it.
    pub(super) fn cell(&self, entry: &'static ResourceEntry) -> Result<(usize, &Cell), NoResource> {
        let index = entry.index().expect("a store exists, so every resource has its index");
        let cell = &self.cells[index];
        match entry.service() {
            Some(service) if !cell.is_here => {
                Err(NoResource::Elsewhere { resource: entry.path(), service: service.to_owned() })
            }
            _ => Ok((index, cell)),
        }
    }

    /// The value of a resource.
    ///
    /// # Panics
    /// When its constructor creates another type than that of its static: the compiler completes each on its own, so a number
    /// without a type may become another one.
    pub(super) fn get<T: Send + Sync + 'static>(
        &self,
        entry: &'static ResourceEntry,
    ) -> Result<Arc<T>, NoResource> {
        let index = entry.index().expect("a store exists, so every resource has its index");
        let reader = match self.cells[index].outcome.get() {
            Some(Ok(reader)) => reader,
            _ => return Err(self.absent(entry)),
        };
        let Some(reader) = reader.downcast_ref::<Weak<T>>() else {
            panic!(
                "the constructor of the resource {} does not create `{}`: write the type of every number in it, as in `7_u64`",
                entry.shown(),
                type_name::<T>()
            );
        };
        let value = reader.upgrade().filter(|_| !self.is_stopped.load(Ordering::Relaxed));
        value.ok_or_else(|| NoResource::Stopped { resource: entry.path() })
    }

    /// Why a resource has no value.
    #[cold]
    fn absent(&self, entry: &'static ResourceEntry) -> NoResource {
        match self.cell(entry) {
            Err(elsewhere) => elsewhere,
            Ok(_) if self.is_stopped.load(Ordering::Relaxed) => {
                NoResource::Stopped { resource: entry.path() }
            }
            Ok(_) => NoResource::NotCreated { resource: entry.path() },
        }
    }

    /// The value that a test puts in place of the resource's own.
    pub(super) fn replaced(&self, entry: &'static ResourceEntry) -> Option<Made> {
        let Replaced(replaced) = &mut *self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let at = replaced.iter().position(|(other, _)| std::ptr::eq(*other, entry))?;
        Some(replaced.swap_remove(at).1)
    }

    /// Keeps a value until the app stops; what reads it comes back. A value that comes after that is dropped at once.
    pub(super) fn keep(&self, entry: &'static ResourceEntry, made: Made) -> Box<dyn Any + Send + Sync> {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut late = None;
        let value = made.owner;
        match self.is_stopped.load(Ordering::Relaxed) {
            true => late = Some(value),
            false => owned.push(Owned { entry, value }),
        }
        drop(owned);
        drop(late);
        made.reader
    }

    /// What is to be dropped, in that order. From now on nobody finds it.
    pub(super) fn stop(&self) -> Vec<Owned> {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_stopped.store(true, Ordering::Relaxed);
        owned.drain(..).rev().collect()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("resources", &self.cells.len()).finish_non_exhaustive()
    }
}
