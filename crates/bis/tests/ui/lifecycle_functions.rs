//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[on_start(early)]
async fn with_arguments() -> Result<()> {
    Ok(())
}

#[on_start]
async fn with_parameters(_every: Duration) -> Result<()> {
    Ok(())
}

#[on_stop]
fn not_async() -> Result<()> {
    Ok(())
}

#[on_stop]
async fn returns_nothing() {}

#[on_start]
async fn generic<T: Default + Send>() -> Result<()> {
    T::default();
    Ok(())
}

#[background(restart = "5s")]
async fn wrong_form() -> Result<()> {
    Ok(())
}

#[background(retry(max = 5))]
async fn wrong_option() -> Result<()> {
    Ok(())
}

#[background(restart(min_backoff = "5m"))]
async fn wrong_order() -> Result<()> {
    Ok(())
}

#[background]
struct Poller;

impl Poller {
    #[background]
    async fn poll(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
