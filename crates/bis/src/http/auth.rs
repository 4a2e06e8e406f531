//! Authentication: the app's one `#[auth]` function, which endpoints it guards, and what they learn about the caller. That
//! function alone decides who somebody is; nothing here knows a scheme, a token or a password.

mod challenge;
mod check;
mod entry;
mod guard;
#[cfg(test)]
mod tests;

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use bis_core::codes;

use crate::{
    error::{Error, Result},
    instance::{AnyIdentity, Identity, Scope},
};

pub(super) use challenge::add as add_challenge;
pub(crate) use check::check;
pub(crate) use entry::Authentication;
pub use entry::{AskedUser, AuthEntry, AuthExtractor, AuthFuture, Authenticated, authenticated, head_part};
pub use guard::Guard;
pub(super) use guard::admit;

/// The user who asks, as the app's `#[auth]` function returned it: an extractor of endpoints.
///
/// ```
/// use bis::prelude::*;
/// use axum::http::HeaderMap;
///
/// bis::service!("orders");
///
/// #[derive(Clone, Serialize, Deserialize)]
/// pub struct User {
///     pub id: u64,
/// }
///
/// #[auth]
/// async fn authenticate(headers: HeaderMap) -> Result<User> {
///     let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
///     match token {
///         Some(token) => user_of(token).await,
///         None => Err(Error::unauthorized("a token is needed")),
///     }
/// }
///
/// #[api(GET, "/orders", auth)]
/// async fn orders(Auth(user): Auth<User>) -> Result<Json<Vec<u64>>> {
///     Ok(Json(vec![user.id]))
/// }
/// # async fn user_of(_: &str) -> Result<User> { Ok(User { id: 7 }) }
/// # fn main() {}
/// ```
///
/// | Taken as | on | |
/// |---|---|---|
/// | `Auth<User>` | `auth` endpoints | the user; without one the function is not called |
/// | `Option<Auth<User>>` | `public` endpoints | `None` where the `#[auth]` function answered 401; its other errors are errors |
/// | `Auth<User>` | `private` endpoints | what the caller passes: it travels to other processes as `Json` does |
///
/// An `auth` endpoint that takes no `Auth` is guarded all the same. `User` is the type that the app's `#[auth]` function returns: of
/// another type the app does not start, and `bis check` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Auth<U>(pub U);

impl<U: Identity> Auth<U> {
    /// Who asked for what the running code does: in a request that the `#[auth]` function let in, in what it calls, in this
    /// process or another one, in what it starts with [`bis::spawn`](crate::spawn), and in handlers of events whose type is under
    /// `#[event(identity)]`. `tokio::spawn` loses it.
    ///
    /// `None` where nobody is known: outside a request, on a public endpoint that does not take `Option<Auth<U>>`, in a handler of
    /// batches, and in calls that such code makes. An `auth` endpoint that is called as a function runs in any case: the app's
    /// own code is trusted, and it is requests from outside that are checked.
    pub fn current() -> Option<U> {
        current().unwrap_or_else(|error| {
            tracing::error!(%error, "nobody is taken to ask");
            None
        })
    }
}

/// Who asked, according to the scope.
///
/// # Errors
/// When the user is not a `U`.
fn current<U: Identity>() -> Result<Option<U>> {
    let Some(identity) = Scope::with(|scope| scope.and_then(|scope| scope.identity.clone())) else {
        return Ok(None);
    };
    let is_other = || other_user(&identity, std::any::type_name::<U>());
    identity.get().ok_or_else(is_other).map(Some)
}

fn other_user(identity: &AnyIdentity, asked: &str) -> Error {
    let user = identity.user();
    Error::permanent(format!(
        "`Auth<{asked}>` asks for another type than the app's user, `{user}` [{}]",
        codes::OTHER_USER
    ))
}

impl<U: Identity, S: Send + Sync> FromRequestParts<S> for Auth<U> {
    type Rejection = Error;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self> {
        current()?.map(Self).ok_or_else(|| Error::unauthorized("credentials are needed"))
    }
}

impl<U: Identity, S: Send + Sync> OptionalFromRequestParts<S> for Auth<U> {
    type Rejection = Error;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Option<Self>> {
        Ok(current()?.map(Self))
    }
}
