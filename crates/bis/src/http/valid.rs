//! `Valid<..>`: what an extractor took, checked by garde. It knows no extractor by name.

use std::ops::Deref;

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use garde::Validate;

use crate::error::{Error, FieldError, Result};

/// What an extractor took, and [garde](https://docs.rs/garde) found valid. Needs the feature `garde`.
///
/// ```
/// # fn main() {}
/// use bis::prelude::*;
/// use garde::Validate;
///
/// # bis::service!("orders");
/// #[derive(Deserialize, Validate)]
/// struct PlaceOrder {
///     #[garde(length(min = 1), dive)]
///     items: Vec<Item>,
/// }
///
/// #[derive(Deserialize, Validate)]
/// struct Item {
///     #[garde(ascii)]
///     sku: String,
///     #[garde(range(min = 1))]
///     quantity: u32,
/// }
///
/// #[api(POST, "/orders", public)]
/// async fn place(order: Valid<Json<PlaceOrder>>) -> Result<Json<usize>> {
///     Ok(Json(order.items.len()))
/// }
/// ```
///
/// A request that is not valid gets status 422, and every wrong field's path and message in `errors`:
/// `{"path": "items[2].quantity", "message": "lower than 1"}`. What the extractor itself refuses is answered as without `Valid`.
///
/// It takes every extractor that dereferences to a type with [`Validate`]: `Json`, `Query`, `Path`, `Form` and those of other
/// crates. The context of the rules is the `Default` of their type. A path has the names of Rust's fields, since garde does not
/// see where serde renames them.
///
/// There is no `Valid` that was not checked, so a function that takes one need not ask where it comes from. A caller in the same
/// app makes it with [`Valid::new`]; over a call to another process it is checked once more there, by the rules of that process.
#[derive(Debug, Clone, Copy)]
pub struct Valid<E>(E);

impl<E> Valid<E>
where
    E: Deref<Target: Validate<Context: Default>>,
{
    /// Checks what an extractor would have taken, for a call of an endpoint: `place(Valid::new(Json(order))?)`.
    ///
    /// # Errors
    /// Which fields are not valid, as [`Error::invalid`].
    pub fn new(extracted: E) -> Result<Self> {
        match extracted.validate() {
            Ok(()) => Ok(Self(extracted)),
            Err(report) => Err(Error::invalid_fields(FieldError::of_report(report))),
        }
    }
}

impl<E> Valid<E> {
    /// What the extractor took.
    pub fn into_inner(self) -> E {
        self.0
    }
}

impl<E> Deref for Valid<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<S, E> FromRequestParts<S> for Valid<E>
where
    S: Send + Sync,
    E: FromRequestParts<S> + Deref<Target: Validate<Context: Default>>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let extracted = E::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        Self::new(extracted).map_err(IntoResponse::into_response)
    }
}

impl<S, E> FromRequest<S> for Valid<E>
where
    S: Send + Sync,
    E: FromRequest<S> + Deref<Target: Validate<Context: Default>>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let extracted = E::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Self::new(extracted).map_err(IntoResponse::into_response)
    }
}
