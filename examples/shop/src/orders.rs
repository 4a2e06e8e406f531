//! Orders, from the cart to the parcel.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bis::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{cart, shipping};

bis::service!("orders");

/// A customer ordered what was in the cart.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order.
    #[event(key)]
    pub order_id: Uuid,
    /// Where it goes to: an ISO 3166 code of two letters.
    #[event(attribute)]
    pub country: String,
    /// What it costs, in cents.
    pub total_cents: i64,
    /// Whom to write to.
    #[event(sensitive)]
    pub email: String,
}

/// Orders that were placed.
pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed").ordered();

/// What a customer sends to order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Whose cart.
    pub customer: String,
    /// Whom to write to.
    pub email: String,
    /// Where to send it.
    pub country: String,
}

/// What is known of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub order_id: Uuid,
    /// What it costs, in cents.
    pub total_cents: i64,
    /// The parcel's number, once it is on its way.
    pub parcel: Option<String>,
}

static ORDERS: Mutex<BTreeMap<Uuid, Order>> = Mutex::new(BTreeMap::new());

/// Orders what is in the cart.
#[api(POST, "/orders", public)]
pub async fn place(Json(request): Json<PlaceOrder>) -> Result<Json<Order>> {
    let Json(items) = cart::take(Path(request.customer)).await?;
    if items.is_empty() {
        return Err(Error::bad_request("the cart is empty: add an item with POST /carts/{customer}/items"));
    }
    let total_cents = items.iter().map(|item| i64::from(item.quantity) * item.price_cents).sum();
    let order = Order { order_id: Uuid::new_v4(), total_cents, parcel: None };
    orders().insert(order.order_id, order.clone());
    PLACED
        .publish(&OrderPlaced {
            order_id: order.order_id,
            country: request.country,
            total_cents,
            email: request.email,
        })
        .await?;
    Ok(Json(order))
}

/// The state of an order.
#[api(GET, "/orders/{id}", public)]
pub async fn show(Path(id): Path<Uuid>) -> Result<Json<Order>> {
    orders().get(&id).cloned().map(Json).ok_or_else(|| Error::not_found(format!("there is no order `{id}`")))
}

#[subscription(shipping::SHIPPED, name = "note-parcel")]
async fn note_parcel(shipped: shipping::OrderShipped) -> Result<()> {
    if let Some(order) = orders().get_mut(&shipped.order_id) {
        order.parcel = Some(shipped.parcel);
    }
    Ok(())
}

fn orders() -> std::sync::MutexGuard<'static, BTreeMap<Uuid, Order>> {
    ORDERS.lock().unwrap_or_else(PoisonError::into_inner)
}
