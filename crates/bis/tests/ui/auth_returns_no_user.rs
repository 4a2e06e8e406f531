//! What does not say who asks, or what cannot travel.

use bis::prelude::*;

bis::service!("shop");

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
}

#[auth]
async fn no_result(headers: HeaderMap) -> User {
    todo!()
}

#[derive(Clone)]
pub struct Plain {
    pub id: u64,
}

#[auth]
async fn no_serde(headers: HeaderMap) -> Result<Plain> {
    todo!()
}

fn main() {}
