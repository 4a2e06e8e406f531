//! The static that stands for one value per app.

use std::{fmt, marker::PhantomData, sync::Arc};

use super::{NoResource, ResourceEntry, Store, store};
use crate::error::Result;

/// A value that an app creates when it starts and drops when it stops: a pool, a client of another system, a cache. It is a
/// static whose value is made by [`resource!`](crate::resource) of an `async fn() -> Result<T>`:
///
/// ```
/// # use bis::prelude::*;
/// # bis::service!("shipping");
/// pub struct Carrier { url: String }
///
/// impl Carrier {
///     async fn connect() -> Result<Carrier> {
///         Ok(Carrier { url: std::env::var("CARRIER_URL")? })
///     }
///     # async fn book(&self, _: u64) -> Result<()> { Ok(()) }
/// }
///
/// pub static CARRIER: Resource<Carrier> = bis::resource!(Carrier::connect);
///
/// # #[derive(Event, Serialize, Deserialize)]
/// # struct Order { id: u64 }
/// # static PLACED: Topic<Order> = Topic::new("placed");
/// #[subscription(PLACED)]
/// async fn ship(order: Order) -> Result<()> {
///     CARRIER.get().book(order.id).await
/// }
/// # fn main() {}
/// ```
///
/// A resource belongs to the service in whose module it is, and is created in the processes that host the service; one in a
/// module outside every service is created in all processes. They are created one after the other, before any hook, handler
/// or endpoint runs, and dropped in the reverse order when nothing runs any more. A constructor that fails, panics or takes
/// longer than `app.start_within` keeps the app from starting, with an error that names the resource.
///
/// Every app instance has its own: tests that run at once never meet. A test can put another value in its place:
/// `#[bis::test(app = shop::app, with(shipping::CARRIER = Carrier::fake()))]`. What is to be replaced by a value of another
/// type is declared as a trait object, `Resource<Box<dyn Carrier>>`.
pub struct Resource<T> {
    entry: &'static ResourceEntry,
    value: PhantomData<fn() -> T>,
}

impl<T> Resource<T> {
    pub(super) const fn registered(entry: &'static ResourceEntry) -> Self {
        Self { entry, value: PhantomData }
    }

    #[cfg(feature = "testing")]
    pub(super) fn entry(&self) -> &'static ResourceEntry {
        self.entry
    }
}

impl<T: Send + Sync + 'static> Resource<T> {
    /// The app's value. It takes no lock.
    ///
    /// What is held of it beyond the app's stop keeps the value from being dropped in order; the log warns of it. So take it
    /// where it is used, and do not store it.
    ///
    /// # Panics
    /// Where there is none: see [`NoResource`], and [`Resource::try_get`].
    #[track_caller]
    pub fn get(&self) -> Arc<T> {
        match self.try_get() {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// The app's value, if it is there.
    ///
    /// # Errors
    /// Outside a running app, before the resource was created, after it was dropped, and in a process that does not host its
    /// service.
    pub fn try_get(&self) -> Result<Arc<T>, NoResource> {
        store::with(self.entry, |store| store.get(self.entry))?
    }

    /// The app's value, which is created first if need be: how the constructor of one resource uses another.
    ///
    /// ```
    /// # use bis::prelude::*;
    /// # struct Pool;
    /// # impl Pool { async fn open() -> Result<Pool> { Ok(Pool) } }
    /// static POOL: Resource<Pool> = bis::resource!(Pool::open);
    /// static LEDGER: Resource<Ledger> = bis::resource!(Ledger::open);
    ///
    /// struct Ledger { pool: std::sync::Arc<Pool> }
    ///
    /// impl Ledger {
    ///     async fn open() -> Result<Ledger> {
    ///         Ok(Ledger { pool: POOL.ready().await? })
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// When it cannot be created, when it needs what waits for it, and where [`Resource::try_get`] fails.
    pub async fn ready(&self) -> Result<Arc<T>> {
        let store = store::with(self.entry, Arc::clone)?;
        Store::ready(&store, self.entry).await?;
        Ok(store.get(self.entry)?)
    }
}

impl<T> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resource").field(&self.entry.path()).finish()
    }
}
