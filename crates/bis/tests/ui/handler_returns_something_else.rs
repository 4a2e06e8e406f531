//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[derive(Debug)]
pub struct Failure;

#[subscription(PLACED)]
async fn number(_order: OrderPlaced) -> u32 {
    7
}

#[subscription(PLACED)]
async fn value(_order: OrderPlaced) -> Result<u32> {
    Ok(7)
}

#[subscription(PLACED)]
async fn failure(_order: OrderPlaced) -> Result<(), Failure> {
    Err(Failure)
}

#[subscription(PLACED)]
async fn text_is_an_error(_order: OrderPlaced) -> Result<(), String> {
    Err("no".to_owned())
}

fn main() {}
