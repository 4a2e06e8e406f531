//! A mistake and its error.

use bis::prelude::*;

mod orders {
    bis::service!("orders");
}

bis::app!(services: [orders]);

#[bis::test(app = app)]
fn not_async(_app: TestApp) {}

#[bis::test(app = app)]
async fn no_app() {}

#[bis::test]
async fn of_nothing(_app: TestApp) {}

fn main() {}
