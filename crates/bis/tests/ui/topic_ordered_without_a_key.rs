//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderShipped {
    pub order_id: u64,
}

pub static SHIPPED: Topic<OrderShipped> = Topic::new("order-shipped").ordered();

fn main() {}
