//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[api(GET, "/{*rest}/lines", public)]
async fn rest_in_the_middle() -> Result<()> {
    Ok(())
}

#[api(GET, "/files/*rest", public)]
async fn rest_of_another_router() -> Result<()> {
    Ok(())
}

#[api(GET, "/café", public)]
async fn never_reached() -> Result<()> {
    Ok(())
}

#[api(GET, "/_bis/call/{name}", private)]
async fn reserved(Path(_): Path<String>) -> Result<()> {
    Ok(())
}

#[api(GET, "/shops/{shop}/orders/{order}", public)]
async fn too_few(Path(_): Path<u64>) -> Result<()> {
    Ok(())
}

#[api(GET, "/orders", public)]
async fn too_many(Path(_): Path<(u64, u64)>) -> Result<()> {
    Ok(())
}

#[mount("/café")]
fn mounted() -> axum::Router {
    axum::Router::new()
}

fn main() {}
