//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

pub struct Order;

#[api(POST, "/orders", public)]
async fn place() -> Result<Order> {
    Ok(Order)
}

#[derive(Debug)]
pub struct Failure;

#[api(GET, "/orders", public)]
async fn list() -> Result<Json<u64>, Failure> {
    Err(Failure)
}

fn main() {}
