//! An endpoint that takes a type which no `#[auth]` function can return.

use bis::prelude::*;

bis::service!("shop");

#[derive(Clone)]
pub struct Plain {
    pub id: u64,
}

#[api(GET, "/me", auth)]
async fn me(Auth(user): Auth<Plain>) -> Result<()> {
    Ok(())
}

fn main() {}
