//! Mistakes and their errors: what `#[bis::test]` puts in the place of resources.

use bis::prelude::*;

mod shipping {
    use bis::prelude::*;

    bis::service!("shipping");

    pub struct Carrier;

    async fn connect() -> Result<Carrier> {
        Ok(Carrier)
    }

    pub static CARRIER: Resource<Carrier> = bis::resource!(connect);
}

bis::app!(services: [shipping]);

#[bis::test(app = app, with())]
async fn nothing(_app: TestApp) {}

#[bis::test(app = app, with(shipping::CARRIER))]
async fn no_value(_app: TestApp) {}

#[bis::test(with(shipping::CARRIER = shipping::Carrier))]
async fn no_app() {}

fn main() {}
