//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
#[event(validate)]
pub struct OrderPlaced {
    pub order_id: u64,
}

#[derive(Event, Serialize, Deserialize)]
pub struct OrderShipped {
    #[event(validate)]
    pub order_id: u64,
}

#[derive(Deserialize)]
pub struct PlaceOrder {
    pub quantity: u32,
}

#[api(POST, "/orders", public)]
async fn place(order: Valid<Json<PlaceOrder>>) -> Result<()> {
    tracing::info!(order.quantity);
    Ok(())
}

fn main() {}
