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

#[subscription(PLACED)]
async fn one(_order: OrderShipped) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn delivery(_order: Delivery<OrderShipped>) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn batch(_orders: Vec<OrderShipped>) -> Result<()> {
    Ok(())
}

fn main() {}
