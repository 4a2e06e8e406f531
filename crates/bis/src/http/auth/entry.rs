//! What `#[auth]` registers, found again by the app that it belongs to, and what its expansion calls.

use std::{future::Future, pin::Pin};

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use crate::{
    error::{Error, Result},
    http::refusal,
    instance::{AnyIdentity, Identity, Position, Services, UserType, Users},
};

/// The function under `#[auth]`.
pub struct AuthEntry {
    /// The path of the module that holds it, its crate first.
    pub module: &'static str,
    /// Its name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The header `WWW-Authenticate` of an answer 401, where the error states none.
    pub challenge: Option<&'static str>,
    /// What it returns.
    pub user: UserType,
    /// The function behind its extractors.
    pub run: fn(Parts) -> AuthFuture,
    /// The paths that it calls, as it writes them.
    pub calls: &'static [&'static str],
}

inventory::collect!(AuthEntry);

/// The head of the request again, and who asks.
pub type AuthFuture = Pin<Box<dyn Future<Output = (Parts, Result<AnyIdentity, Refusal>)> + Send>>;

/// Why nobody is let in.
pub enum Refusal {
    /// The function's error, or that of an extractor.
    Error(Error),
    /// An extractor's answer that is not an error, such as a redirect to where one signs in.
    Answer(Box<Response>),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Error(error) => error.into_response(),
            Self::Answer(answer) => *answer,
        }
    }
}

/// What an `#[auth]` function returns: a result of the app's user, whose error is, or becomes, [`bis::Error`](crate::Error).
#[diagnostic::on_unimplemented(
    message = "an `#[auth]` function cannot return `{Self}`",
    label = "not a `bis::Result` of the app's user",
    note = "return `bis::Result<User>` of a type of your own: `Ok` lets the request in, `Err(Error::unauthorized(..))` answers 401"
)]
pub trait Authenticated {
    /// The user's type.
    const USER: UserType;

    /// Who asks.
    fn into_identity(self) -> Result<AnyIdentity>;
}

impl<U: Identity, E: Into<Error>> Authenticated for Result<U, E> {
    const USER: UserType = UserType::of::<U>();

    fn into_identity(self) -> Result<AnyIdentity> {
        self.map(AnyIdentity::new).map_err(Into::into)
    }
}

/// What an `#[auth]` function returned.
pub fn authenticated(result: impl Authenticated) -> Result<AnyIdentity, Refusal> {
    result.into_identity().map_err(Refusal::Error)
}

/// What an `#[auth]` function takes.
#[diagnostic::on_unimplemented(
    message = "an `#[auth]` function cannot take `{Self}`",
    label = "not an extractor of the request's head",
    note = "take `HeaderMap`, `Method`, `Uri`, `Parts`, `Query<..>`, a typed header, a cookie jar or another extractor that works without the body: the body is the endpoint's"
)]
pub trait AuthExtractor: FromRequestParts<()> {}

#[diagnostic::do_not_recommend]
impl<T: FromRequestParts<()>> AuthExtractor for T {}

/// Runs an extractor of an `#[auth]` function. One that finds the request wrong has found no credentials that it can read, which is
/// what 401 says; what is not the client's fault stays what it is.
///
/// # Errors
/// The answer, when it refuses.
pub async fn head_part<T: AuthExtractor>(parts: &mut Parts) -> Result<T, Refusal> {
    let answer = match T::from_request_parts(parts, &()).await {
        Ok(extracted) => return Ok(extracted),
        Err(refusal) => refusal.into_response(),
    };
    let status = answer.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Err(Refusal::Answer(Box::new(answer)));
    }
    let is_challenge = answer.headers().contains_key(axum::http::header::WWW_AUTHENTICATE);
    if is_challenge {
        return Err(Refusal::Answer(Box::new(answer)));
    }
    let text = refusal::text_of(answer).await;
    Err(Refusal::Error(match status.is_client_error() {
        true => Error::unauthorized(text),
        false => Error::msg(text).context("an extractor of the `#[auth]` function does not work"),
    }))
}

/// What a parameter of an endpoint asks of the app's user.
#[derive(Debug, Clone, Copy)]
pub struct AskedUser {
    /// The type that it names.
    pub user: UserType,
    /// Whether there may be none.
    pub is_optional: bool,
}

/// How the requests of an app are authenticated.
#[derive(Clone, Copy)]
pub(crate) struct Authentication(Option<&'static AuthEntry>);

impl Authentication {
    /// That of the app with these services. Where there are two, the app does not start.
    pub(crate) fn of(services: &Services) -> Self {
        Self(entries(services).into_iter().next())
    }

    pub(crate) fn entry(self) -> Option<&'static AuthEntry> {
        self.0
    }

    /// The app's user type.
    pub(crate) fn users(self) -> Users {
        Users(self.0.map(|entry| entry.user))
    }
}

/// The `#[auth]` functions of an app, in the order of the source: those in its services, and those outside every service in its
/// crates. That of a crate which the app only depends on is not its own.
pub(super) fn entries(services: &Services) -> Vec<&'static AuthEntry> {
    let all = inventory::iter::<AuthEntry>.into_iter();
    let mut own: Vec<_> = all.filter(|entry| services.own(entry.module)).collect();
    own.sort_by_key(|entry| entry.position);
    own
}
