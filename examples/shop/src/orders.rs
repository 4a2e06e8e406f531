//! Orders, from the cart to the parcel.

use std::convert::Infallible;

use axum::response::sse::{self, KeepAlive, Sse};
use bis::prelude::*;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{cart, shipping, staff::Staff, table::Table};

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

type Orders = Table<Uuid, Order>;

static ORDERS: Resource<Orders> = bis::resource!(Orders::open);

/// Orders what is in the cart.
#[api(POST, "/orders", public)]
pub async fn place(Json(request): Json<PlaceOrder>) -> Result<Json<Order>> {
    let Json(items) = cart::take(Path(request.customer)).await?;
    if items.is_empty() {
        return Err(Error::bad_request("the cart is empty: add an item with POST /carts/{customer}/items"));
    }
    let total_cents = items.iter().map(|item| i64::from(item.quantity) * item.price_cents).sum();
    let order = Order { order_id: Uuid::new_v4(), total_cents, parcel: None };
    ORDERS.get().lock().insert(order.order_id, order.clone());
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
    find(id).map(Json)
}

/// Every order, for the people who work here.
#[api(GET, "/orders", auth)]
pub async fn list(Auth(staff): Auth<Staff>) -> Result<Json<Vec<Order>>> {
    tracing::info!(staff.name, "looks at the orders");
    Ok(Json(ORDERS.get().lock().values().cloned().collect()))
}

/// The states of an order as server-sent events: the present one, and the next when the parcel is on its way.
#[api(GET, "/orders/{id}/states", public)]
pub async fn follow(Path(id): Path<Uuid>) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>> {
    // Listening begins before the present state is read, so that nothing is missed in between.
    let shipped = shipping::SHIPPED.listen().await?;
    let order = find(id)?;
    let later = shipped.filter_map(move |heard| {
        // A listener that fell behind may have missed its event; the table has the newest state.
        let state = match heard {
            Ok(event) if event.order_id == id => {
                find(id).ok().map(|order| Order { parcel: Some(event.into_event().parcel), ..order })
            }
            Ok(_) => None,
            Err(_lagged) => find(id).ok(),
        };
        std::future::ready(state)
    });
    let states = stream::once(std::future::ready(order)).chain(later);
    let states =
        states.map(|order| Ok(sse::Event::default().event("order").json_data(&order).unwrap_or_default()));
    Ok(Sse::new(states).keep_alive(KeepAlive::default()))
}

#[subscription(shipping::SHIPPED, name = "note-parcel")]
async fn note_parcel(shipped: shipping::OrderShipped) -> Result<()> {
    if let Some(order) = ORDERS.get().lock().get_mut(&shipped.order_id) {
        order.parcel = Some(shipped.parcel);
    }
    Ok(())
}

fn find(id: Uuid) -> Result<Order> {
    let order = ORDERS.get().lock().get(&id).cloned();
    order.ok_or_else(|| Error::not_found(format!("there is no order `{id}`")))
}
