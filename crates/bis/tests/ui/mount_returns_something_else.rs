//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Clone)]
pub struct Db;

#[mount("/text")]
fn text() -> Result<String> {
    Ok(String::new())
}

#[mount("/state")]
fn without_its_state() -> axum::Router<Db> {
    axum::Router::new()
}

fn main() {}
