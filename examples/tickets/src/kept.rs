//! What a service keeps in memory, where another would have a database. Each app has its own, so tests never meet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bis::Result;

/// A value that one task at a time works with, and never across an `.await`.
#[derive(Debug, Default)]
pub struct Kept<T>(Mutex<T>);

impl<T: Default> Kept<T> {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, unlike a database.
    pub async fn open() -> Result<Self> {
        Ok(Self::default())
    }

    /// Takes the value for a moment.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
