//! The body is the endpoint's.

use bis::prelude::*;

bis::service!("shop");

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
}

#[auth]
async fn authenticate(headers: HeaderMap, Json(user): Json<User>) -> Result<User> {
    Ok(user)
}

fn main() {}
