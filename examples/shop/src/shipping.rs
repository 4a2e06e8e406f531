//! Parcels: booked with a carrier that often fails, which a retry mends, and that does not go everywhere, which none does.

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

/// Books a parcel. One call in three fails: retry it.
fn book_carrier(order: &orders::OrderPlaced) -> Result<String> {
    if !["AT", "CH", "DE", "FR", "IT"].contains(&order.country.as_str()) {
        return Err(Error::permanent(format!("the carrier does not go to `{}`", order.country)));
    }
    if fastrand::u8(0..3) == 0 {
        return Err(Error::msg("the carrier does not answer"));
    }
    Ok(format!("P-{:08}", fastrand::u32(0..100_000_000)))
}
