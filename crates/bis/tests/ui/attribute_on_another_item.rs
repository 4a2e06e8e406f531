//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[subscription(PLACED)]
pub struct Handler;

#[api(GET, "/orders", public)]
pub static ORDERS: u32 = 7;

fn main() {}
