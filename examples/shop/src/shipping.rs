//! Parcels: booked with a carrier that often fails, which a retry mends, and that does not go everywhere, which none does.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bis::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::orders;

bis::service!("shipping");

/// A parcel is on its way.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct OrderShipped {
    /// The order.
    #[event(key)]
    pub order_id: Uuid,
    /// The carrier's number.
    pub parcel: String,
    /// Whom to tell.
    #[event(sensitive)]
    pub email: String,
}

/// Orders that were shipped.
pub static SHIPPED: Topic<OrderShipped> = Topic::new("order-shipped");

#[subscription(orders::PLACED, name = "ship", retry(max = 20, min_backoff = "200ms", max_backoff = "5s"))]
async fn ship(order: orders::OrderPlaced) -> Result<()> {
    let parcel = book_carrier(&order)?;
    SHIPPED.publish(&OrderShipped { order_id: order.order_id, parcel, email: order.email }).await?;
    Ok(())
}

/// The parcels that were booked, by order: an order whose event comes again must not get a second one.
static PARCELS: Mutex<BTreeMap<Uuid, String>> = Mutex::new(BTreeMap::new());

/// Books a parcel, once for each order. One call in three fails: retry it.
fn book_carrier(order: &orders::OrderPlaced) -> Result<String> {
    let mut parcels = PARCELS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parcel) = parcels.get(&order.order_id) {
        return Ok(parcel.clone());
    }
    if !["AT", "CH", "DE", "FR", "IT"].contains(&order.country.as_str()) {
        return Err(Error::permanent(format!("the carrier does not go to `{}`", order.country)));
    }
    if fastrand::u8(0..3) == 0 {
        return Err(Error::msg("the carrier does not answer"));
    }
    let parcel = format!("P-{:08}", fastrand::u32(0..100_000_000));
    parcels.insert(order.order_id, parcel.clone());
    Ok(parcel)
}
