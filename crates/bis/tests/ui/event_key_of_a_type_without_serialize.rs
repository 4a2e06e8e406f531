//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

pub struct OrderId(u64);

#[derive(Event, Serialize, Deserialize)]
pub struct OrderShipped {
    #[event(key)]
    #[serde(skip)]
    pub order_id: Option<OrderId>,
}

fn main() {}
