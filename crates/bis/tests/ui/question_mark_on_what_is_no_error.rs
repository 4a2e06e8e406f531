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

fn pack(_order: &OrderPlaced) -> Result<(), Failure> {
    Err(Failure)
}

#[subscription(PLACED)]
async fn ship(order: OrderPlaced) -> Result<()> {
    pack(&order)?;
    Ok(())
}

fn main() {}
