//! What an endpoint may take and return: axum's own traits, under names whose errors say what to write.

use axum::{
    Router,
    extract::{FromRequest, FromRequestParts},
    response::IntoResponse,
};

use super::layers::RequestService;

/// What an endpoint takes before its last parameter.
#[diagnostic::on_unimplemented(
    message = "an endpoint cannot take `{Self}` here",
    label = "not an extractor that works without the body",
    note = "take `Path<..>`, `Query<..>`, `HeaderMap` or another extractor of the request's head; `Json<..>` and others of the body come last",
    note = "`Valid<..>` takes one of them, of a type under `#[derive(garde::Validate)]`",
    note = "an endpoint has no `State`: declare what endpoints share as a resource, as in `static DB: Resource<Db> = bis::resource!(Db::open);`"
)]
pub trait Extractor: FromRequestParts<()> {}

#[diagnostic::do_not_recommend]
impl<T: FromRequestParts<()>> Extractor for T {}

/// What an endpoint takes as its last parameter. `M` tells axum's two ways of extracting apart.
#[diagnostic::on_unimplemented(
    message = "an endpoint cannot take `{Self}`",
    label = "not an extractor",
    note = "take `Json<..>` of a type that implements `Deserialize`, `Path<..>`, `Query<..>` or another extractor of axum",
    note = "`Valid<..>` takes one of them, of a type under `#[derive(garde::Validate)]`",
    note = "an endpoint has no `State`: declare what endpoints share as a resource, as in `static DB: Resource<Db> = bis::resource!(Db::open);`"
)]
pub trait LastExtractor<M>: FromRequest<(), M> {}

#[diagnostic::do_not_recommend]
impl<T: FromRequest<(), M>, M> LastExtractor<M> for T {}

/// What an endpoint returns.
#[diagnostic::on_unimplemented(
    message = "an endpoint cannot answer with `{Self}`",
    label = "not an answer",
    note = "return `Result<Json<..>>` of a type that implements `Serialize`, `Result<()>`, or anything else that implements axum's `IntoResponse`",
    note = "`bis::Result` takes any error with `?`; an error of another type must implement `IntoResponse` itself"
)]
pub trait Answer: IntoResponse {}

#[diagnostic::do_not_recommend]
impl<T: IntoResponse> Answer for T {}

/// What a mount returns.
#[diagnostic::on_unimplemented(
    message = "a mount cannot return `{Self}`",
    label = "not an `axum::Router`",
    note = "return `axum::Router`; give a router with a state its state first, with `.with_state(..)`"
)]
pub trait Mounted {
    /// The router.
    fn router(self) -> Router;
}

#[diagnostic::do_not_recommend]
impl Mounted for Router {
    fn router(self) -> Router {
        self
    }
}

/// What a mount returns, as a router.
pub fn mounted(result: impl Mounted) -> Router {
    result.router()
}

/// What `layers` lists: a layer whose service takes requests and cannot fail.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a layer here",
    label = "not a layer around endpoints",
    note = "list what implements `tower::Layer`, such as the layers of tower-http: its service must be `Clone`, `Send` and `Sync`, and answer with what implements `IntoResponse`",
    note = "a function that takes a request and `Next` becomes a layer with `axum::middleware::from_fn(function)`",
    note = "a layer whose service can fail or is not `Clone` goes into a `tower::ServiceBuilder`: `.layer(HandleErrorLayer::new(handle)).buffer(100)`, then the layer"
)]
pub trait RequestLayer {
    /// The service with the layer around it.
    fn around(&self, inner: RequestService) -> RequestService;
}
