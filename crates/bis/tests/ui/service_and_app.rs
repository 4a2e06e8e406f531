//! A mistake and its error.

mod orders {
    bis::service!("Orders");
}

mod helpers {}

mod double {
    bis::service!("double");
    bis::service!("again");
}

mod twice {
    bis::app!(services: [super::orders, super::orders]);
}

mod empty {
    bis::app!(services: []);
}

mod unknown {
    bis::app!(service: [super::orders]);
}

bis::app!(services: [orders, helpers]);

fn main() {}
