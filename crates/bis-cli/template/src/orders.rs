//! Takes orders, and remembers their state.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bis::prelude::*;
use uuid::Uuid;

use crate::shipping;

bis::service!("orders");

/// Somebody ordered something.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order; events of one order stay together.
    #[event(key)]
    pub order_id: Uuid,
    /// What was ordered.
    pub item: String,
    /// How many.
    pub quantity: u32,
}

/// Orders that were placed.
pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

/// What a customer sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// What to order.
    pub item: String,
    /// How many.
    pub quantity: u32,
}

/// What a customer gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub order_id: Uuid,
    /// What was ordered.
    pub item: String,
    /// How many.
    pub quantity: u32,
    /// `placed`, then `shipped`.
    pub status: String,
}

// In memory, so that the example needs nothing else; a restart forgets it.
static ORDERS: Mutex<BTreeMap<Uuid, Order>> = Mutex::new(BTreeMap::new());

/// Places an order. The answer comes once the event is safe with the broker.
#[api(POST, "/orders", public)]
pub async fn place(Json(request): Json<PlaceOrder>) -> Result<Json<Order>> {
    let order_id = Uuid::new_v4();
    let PlaceOrder { item, quantity } = request;
    let order = Order { order_id, item: item.clone(), quantity, status: "placed".to_owned() };
    orders().insert(order_id, order.clone());
    PLACED.publish(&OrderPlaced { order_id, item, quantity }).await?;
    Ok(Json(order))
}

/// Shows an order.
#[api(GET, "/orders/{id}", public)]
pub async fn show(Path(id): Path<Uuid>) -> Result<Json<Order>> {
    orders().get(&id).cloned().map(Json).ok_or_else(|| Error::not_found(format!("there is no order `{id}`")))
}

#[subscription(shipping::SHIPPED, name = "note-shipped")]
async fn note_shipped(shipped: shipping::OrderShipped) -> Result<()> {
    if let Some(order) = orders().get_mut(&shipped.order_id) {
        order.status = "shipped".to_owned();
    }
    Ok(())
}

fn orders() -> MutexGuard<'static, BTreeMap<Uuid, Order>> {
    ORDERS.lock().unwrap_or_else(PoisonError::into_inner)
}
