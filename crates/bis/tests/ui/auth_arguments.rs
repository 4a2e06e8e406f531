//! Mistakes in the arguments of `#[auth]` and in the signature under it.

use bis::prelude::*;

bis::service!("shop");

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
}

#[auth(chalenge = "Basic")]
async fn misspelt(headers: HeaderMap) -> Result<User> {
    todo!()
}

#[auth(challenge = "Basic\r\nX: y")]
fn not_async(headers: HeaderMap) -> Result<User> {
    todo!()
}

#[auth]
async fn nothing(headers: HeaderMap) {}

#[auth]
async fn unnamed(headers: HeaderMap) -> Result<impl Clone> {
    Ok(())
}

#[auth]
async fn generic<T>(value: T) -> Result<User> {
    todo!()
}

#[api(GET, "/open", public)]
async fn open(Auth(user): Auth<User>) -> Result<()> {
    Ok(())
}

fn main() {}
