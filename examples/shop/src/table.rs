//! What the shop keeps in memory, where another would have a database.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bis::Result;

/// Values by their key.
#[derive(Debug)]
pub struct Table<K, V>(Mutex<BTreeMap<K, V>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> Table<K, V> {
    /// An empty table.
    ///
    /// # Errors
    /// Never, unlike a database.
    pub async fn open() -> Result<Self> {
        Ok(Self::default())
    }

    /// Locks it, for one task alone and never across an `.await`.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
