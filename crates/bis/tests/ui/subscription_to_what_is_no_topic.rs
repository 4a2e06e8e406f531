//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

pub static NAME: &str = "order-placed";

#[subscription(NAME)]
async fn text(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(MISSING)]
async fn missing(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

fn main() {}
