//! Requests of a test that come from a user of its choice: past the app's `#[auth]` function, which runs in all other requests.

use axum::{body::Body, extract::Request, http::Method, response::Response};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    TestApp,
    app::{json, json_request, read_answer},
};
use crate::{
    error::Result,
    instance::{AnyIdentity, Identity},
};

/// A test's app, asked by a user: what [`TestApp::as_user`] returns. Its requests skip the app's `#[auth]` function and have this
/// user, as if it had returned it.
#[derive(Debug, Clone)]
pub struct AsUser<'a> {
    app: &'a TestApp,
    identity: AnyIdentity,
}

impl TestApp {
    /// The app as this user asks it: the same requests, without the app's `#[auth]` function.
    ///
    /// ```
    /// # use bis::prelude::*;
    /// # #[derive(Clone, Serialize, Deserialize)] struct User { id: u64 }
    /// # async fn test(app: TestApp) -> Result<()> {
    /// let orders: Vec<u64> = app.as_user(User { id: 7 }).get("/orders").await?;
    /// assert!(app.get::<Vec<u64>>("/orders").await.is_err(), "the real function finds no credentials");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// When the app has no `#[auth]` function, or one that returns another type.
    #[track_caller]
    pub fn as_user<U: Identity>(&self, user: U) -> AsUser<'_> {
        let identity = AnyIdentity::new(user);
        match self.user_type() {
            Some(own) if own == identity.user() => AsUser { app: self, identity },
            Some(own) => panic!("the app's `#[auth]` function returns `{own}`, not `{}`", identity.user()),
            None => panic!("the app has no `#[auth]` function, so that nobody is its user"),
        }
    }
}

impl AsUser<'_> {
    /// As [`TestApp::get`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R> {
        self.call(Method::GET, path, Body::empty()).await
    }

    /// As [`TestApp::post`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn post<R: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<R> {
        self.call(Method::POST, path, json(body)?).await
    }

    /// As [`TestApp::put`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn put<R: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<R> {
        self.call(Method::PUT, path, json(body)?).await
    }

    /// As [`TestApp::delete`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn delete<R: DeserializeOwned>(&self, path: &str) -> Result<R> {
        self.call(Method::DELETE, path, Body::empty()).await
    }

    /// As [`TestApp::request`].
    pub async fn request(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(self.identity.clone());
        self.app.request(request).await
    }

    async fn call<R: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Result<R> {
        let request = json_request(&method, path, body)?;
        read_answer(&method, path, self.request(request).await).await
    }
}
