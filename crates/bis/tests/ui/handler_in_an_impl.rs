//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

pub struct Shipper;

impl Shipper {
    #[subscription(PLACED)]
    async fn ship(_order: OrderPlaced) -> Result<()> {
        Ok(())
    }

    #[subscription(PLACED)]
    async fn with_self(&self, _order: OrderPlaced) -> Result<()> {
        Ok(())
    }

    #[subscription(PLACED)]
    async fn batch(_orders: Vec<OrderPlaced>) -> Result<()> {
        Ok(())
    }

    #[api(GET, "/orders/{id}", public)]
    async fn show(Path(_id): Path<u64>) -> Result<()> {
        Ok(())
    }

    #[api(GET, "/orders", public)]
    async fn list() -> Result<()> {
        Self::files();
        Ok(())
    }

    #[mount("/files")]
    fn files() -> axum::Router {
        axum::Router::new()
    }
}

trait Ships {
    async fn ship(order: OrderPlaced) -> Result<()>;
}

impl Ships for Shipper {
    #[subscription(PLACED)]
    async fn ship(_order: OrderPlaced) -> Result<()> {
        Ok(())
    }
}

trait Required {
    #[subscription(PLACED)]
    async fn ship(order: OrderPlaced) -> Result<()>;
}

fn main() {
    #[subscription(PLACED)]
    async fn nested(_order: OrderPlaced) -> Result<()> {
        Ok(())
    }
}
