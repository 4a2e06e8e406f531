//! The people who work in the shop, and how a request shows that it comes from one of them.

use axum::http::{HeaderMap, header};
use bis::prelude::*;

/// Somebody who works here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Staff {
    /// What the log calls them.
    pub name: String,
}

/// What staff know and nobody else does.
pub struct Token(Option<String>);

impl Token {
    /// Reads it from `SHOP_STAFF_TOKEN`. Without one, nobody is staff.
    ///
    /// # Errors
    /// When it is too short to be a secret.
    pub async fn from_env() -> Result<Self> {
        let token = std::env::var("SHOP_STAFF_TOKEN").ok();
        if token.as_ref().is_some_and(|token| token.len() < 16) {
            return Err(Error::msg("`SHOP_STAFF_TOKEN` is shorter than 16 characters"));
        }
        Ok(Self(token))
    }
}

/// The token of this app.
pub static TOKEN: Resource<Token> = bis::resource!(Token::from_env);

/// `Authorization: Bearer <token>` makes a request one of the staff's.
#[auth]
async fn authenticate(headers: HeaderMap) -> Result<Staff> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    match (given, &TOKEN.get().0) {
        (Some(given), Some(token)) if is_same(given, token) => Ok(Staff { name: "staff".into() }),
        _ => Err(Error::unauthorized("send the token of the staff, `Authorization: Bearer <token>`")),
    }
}

/// Whether two texts are the same, in a time that tells nothing about where they differ.
fn is_same(given: &str, token: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(given.as_bytes(), token.as_bytes()).into()
}
