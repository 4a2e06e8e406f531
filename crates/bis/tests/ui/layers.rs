//! A mistake and its error.

use std::convert::Infallible;

use axum::{extract::Request, middleware::Next, response::Response};
use bis::prelude::*;
use tower::{ServiceBuilder, limit::RateLimitLayer, timeout::TimeoutLayer};

bis::service!("orders", layers: [log]);

async fn log(request: Request, next: Next) -> Response {
    next.run(request).await
}

#[api(GET, "/a", public, layers = [7, "cors"])]
async fn values() -> Result<()> {
    Ok(())
}

#[api(GET, "/b", public, layers = [TimeoutLayer::new(Duration::from_secs(1))])]
async fn can_fail() -> Result<()> {
    Ok(())
}

#[api(GET, "/c", public, layers = [ServiceBuilder::new().layer(RateLimitLayer::new(1, Duration::from_secs(1))).map_err(|never: Infallible| never)])]
async fn is_not_clone() -> Result<()> {
    Ok(())
}

#[api(GET, "/d", public, layers = log, body_limit = "10 mb", timeout = "5 seconds", cors = true)]
async fn grammar() -> Result<()> {
    Ok(())
}

#[api(GET, "/e", public, layers(log), body_limit = 10, timeout = "0s", timeout = "1s")]
async fn forms() -> Result<()> {
    Ok(())
}

#[api(GET, "/f", public, layers = [let], body_limit = "some")]
async fn expressions() -> Result<()> {
    Ok(())
}

mod unknown {
    bis::service!("unknown", layer: []);
}

mod app {
    bis::app!(services: [super::unknown], layers: [super::log], layers: []);
}

fn main() {}
