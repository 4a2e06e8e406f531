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
fn not_async(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn nothing() {}

#[subscription(PLACED)]
async fn by_reference(_order: &OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn slice(_orders: &[OrderPlaced]) -> Result<()> {
    Ok(())
}

#[subscription(PLACED, batch(max = 10))]
async fn boxed_slice(_orders: Box<[Delivery<OrderPlaced>]>) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn two(_order: OrderPlaced, _other: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED)]
async fn generic<T>(_order: T) -> Result<()> {
    Ok(())
}

#[subscription(PLACED, batch(max = 10))]
async fn no_batch(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

fn main() {}
