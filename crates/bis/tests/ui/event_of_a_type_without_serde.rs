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
pub struct Changed<T> {
    pub after: T,
}

pub struct Dish;

pub static CHANGED: Topic<Changed<Dish>> = Topic::new("changed");

fn main() {}
