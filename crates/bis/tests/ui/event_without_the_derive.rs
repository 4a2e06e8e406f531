//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[derive(Serialize, Deserialize)]
pub struct OrderShipped {
    pub order_id: u64,
}

pub static SHIPPED: Topic<OrderShipped> = Topic::new("order-shipped");

#[subscription(SHIPPED)]
async fn tell(_order: OrderShipped) -> Result<()> {
    Ok(())
}

fn main() {}
