//! Parcels: booked with a carrier that often fails, which a retry mends, and that does not go everywhere, which none does.

use bis::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{carrier::Carrier, orders};

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

/// Who takes the parcels. Tests put another one here.
pub static CARRIER: Resource<Carrier> = bis::resource!(Carrier::connect);

#[subscription(orders::PLACED, name = "ship", retry(max = 20, min_backoff = "200ms", max_backoff = "5s"))]
async fn ship(order: orders::OrderPlaced) -> Result<()> {
    let parcel = CARRIER.get().book(order.order_id, &order.country).await?;
    SHIPPED.publish(&OrderShipped { order_id: order.order_id, parcel, email: order.email }).await?;
    Ok(())
}
