//! Ships what was ordered.

use bis::prelude::*;
use uuid::Uuid;

use crate::orders;

bis::service!("shipping");

/// An order is on its way.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct OrderShipped {
    /// The order.
    #[event(key)]
    pub order_id: Uuid,
}

/// Orders that were shipped.
pub static SHIPPED: Topic<OrderShipped> = Topic::new("order-shipped");

/// Ships one order. An error is retried with growing pauses; `Error::permanent` and the last attempt's error make it a
/// dead letter, which `bis dead ls` shows and `bis dead resend` sends again.
#[subscription(orders::PLACED, name = "ship", retry(max = 5, min_backoff = "1s", max_backoff = "1m"))]
async fn ship(order: orders::OrderPlaced) -> Result<()> {
    if order.quantity == 0 {
        return Err(Error::permanent("there is nothing to ship"));
    }
    SHIPPED.publish(&OrderShipped { order_id: order.order_id }).await?;
    Ok(())
}
