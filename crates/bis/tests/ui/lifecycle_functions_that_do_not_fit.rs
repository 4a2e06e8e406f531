//! A mistake and its error.

use std::rc::Rc;

use bis::prelude::*;

bis::service!("orders");

#[on_start]
async fn returns_something_else() -> u32 {
    7
}

#[on_stop]
async fn returns_a_value() -> Result<u32> {
    Ok(7)
}

#[background]
async fn never_returns() -> ! {
    std::future::pending().await
}

#[background]
async fn is_not_send() -> Result<()> {
    let held = Rc::new(7);
    bis::stopping().await;
    drop(held);
    Ok(())
}

struct Poller;

impl Poller {
    #[background]
    async fn poll() -> Result<()> {
        Ok(())
    }
}

fn main() {}
