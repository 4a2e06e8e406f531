//! What runs before an endpoint's extractors: the app's `#[auth]` function, after all layers and within the timeout.

use std::future::Future;

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bis_core::codes;

use super::entry::{Authentication, Refusal};
use crate::{
    error::{Error, Result},
    http::entry::{Access, EndpointEntry},
    instance::{self, AnyIdentity, Scope},
};

/// Whether an endpoint wants to know who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It does not.
    Open,
    /// It does, and there may be nobody.
    Optional,
    /// It does, and there must be somebody.
    Required,
}

impl Guard {
    /// That of an endpoint.
    pub(crate) fn of(entry: &EndpointEntry) -> Self {
        match entry.access {
            Access::Auth => Self::Required,
            Access::Public if !entry.asked_users().is_empty() => Self::Optional,
            Access::Public | Access::Private => Self::Open,
        }
    }
}

/// Answers a request with `handle`, if the guard lets it in.
pub(in crate::http) async fn admit<F, R>(guard: Guard, request: Request, handle: F) -> Response
where
    F: Fn(Request) -> R,
    R: Future<Output = Response>,
{
    if guard == Guard::Open {
        return handle(request).await;
    }
    let (request, known) = authenticate(request).await;
    match known {
        Ok(identity) => {
            Scope::update(|scope| scope.identity = Some(identity));
            handle(request).await
        }
        Err(refusal) if guard == Guard::Optional && says_nobody(&refusal) => handle(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Whether there are no credentials, or none that count.
fn says_nobody(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Error(error) => error.http_status() == StatusCode::UNAUTHORIZED,
        Refusal::Answer(answer) => answer.status() == StatusCode::UNAUTHORIZED,
    }
}

async fn authenticate(request: Request) -> (Request, Result<AnyIdentity, Refusal>) {
    // No client can put it there: what came over a socket has no such extension.
    #[cfg(feature = "testing")]
    if let Some(identity) = request.extensions().get::<AnyIdentity>() {
        let identity = identity.clone();
        return (request, Ok(identity));
    }
    let entry = instance::current().ok().and_then(|instance| instance.extension::<Authentication>().entry());
    let Some(entry) = entry else {
        let error = Error::msg(format!("the app has no `#[auth]` function [{}]", codes::NO_AUTH));
        return (request, Err(Refusal::Error(error)));
    };
    let (parts, body) = request.into_parts();
    let (parts, known) = (entry.run)(parts).await;
    (Request::from_parts(parts, body), known)
}
