//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[subscription(PLACED, nmae = "ship")]
async fn unknown(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED, name = "a", name = "b")]
async fn twice(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED, name = "ShipOrder", timeout = "10 minutes", retry(max = 0, min_backoff = "soon"))]
async fn all_at_once(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription(PLACED, retry(min_backoff = "5m", max_backoff = "1m"))]
async fn wrong_order(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

#[subscription]
async fn no_topic(_order: OrderPlaced) -> Result<()> {
    Ok(())
}

fn main() {}
