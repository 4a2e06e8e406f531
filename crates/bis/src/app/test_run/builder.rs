//! An app that a test starts itself, with resources other than its own.

use std::fmt;

use super::bed::Bed;
use crate::{
    app::App,
    error::{Error, Result},
    state::{Replaced, Resource},
    testing::TestApp,
};

impl TestApp {
    /// Prepares an app that the test starts itself, in a test under `#[bis::test]` that names no app:
    ///
    /// ```ignore
    /// #[bis::test]
    /// async fn an_order_ships() -> Result<()> {
    ///     let carrier = Carrier::fake(3);
    ///     let app = TestApp::builder(shop::app()).with(&shipping::CARRIER, carrier).start().await?;
    ///     // ..
    ///     Ok(())
    /// }
    /// ```
    pub fn builder(app: App) -> TestAppBuilder {
        TestAppBuilder { app, replaced: Replaced::default() }
    }
}

/// An app that a test is about to start: see [`TestApp::builder`].
#[must_use = "the app starts with `.start().await?`"]
pub struct TestAppBuilder {
    app: App,
    replaced: Replaced,
}

impl TestAppBuilder {
    /// Replaces the value that a resource's constructor would create; the constructor does not run.
    pub fn with<T: Send + Sync + 'static>(mut self, resource: &Resource<T>, value: T) -> Self {
        self.replaced.put(resource, value);
        self
    }

    /// Starts the app. It stops when the test ends.
    ///
    /// # Errors
    /// When the app cannot start, when the test has an app already, and outside a test under `#[bis::test]`.
    pub async fn start(self) -> Result<TestApp> {
        let started = Bed::here()?.start(&self.app, self.replaced).await;
        started.map_err(|error: Error| error.context("the app did not start"))
    }
}

impl fmt::Debug for TestAppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAppBuilder").field("app", &self.app).finish_non_exhaustive()
    }
}
