//! From source to edges.

mod common;

use common::check;

#[test]
fn an_app_with_two_services() {
    check(
        r#"
//- src/lib.rs
pub mod orders;
pub mod shipping;
bis::app!(services: [orders, shipping]);
//- src/main.rs
fn main() -> std::process::ExitCode { shop::app().main() }
//- src/orders.rs
use bis::prelude::*;
use uuid::Uuid;
bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: Uuid,
}
pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed").ordered();

#[api(POST, "/orders", public)]
async fn place(Json(request): Json<PlaceOrder>) -> Result<Json<OrderId>> {
    PLACED.publish(&OrderPlaced { order_id: Uuid::new_v4() }).await?;
    Ok(Json(OrderId))
}
#[mount("/files")]
fn files() -> axum::Router { axum::Router::new() }
//- src/shipping.rs
use bis::prelude::*;
use crate::orders::{self, OrderPlaced};
bis::service!("shipping");
#[subscription(orders::PLACED, name = "ship", retry(max = 5, min_backoff = "1s", max_backoff = "5m"))]
async fn ship(order: OrderPlaced) -> Result<()> { Ok(()) }
#[subscription(orders::PLACED)]
async fn count_all(orders: Vec<Delivery<OrderPlaced>>) -> Result<()> { Ok(()) }
"#,
        "
service orders = shop::orders
service shipping = shop::shipping
topic order-placed : shop::orders::OrderPlaced ordered <- [orders]
subscription order-placed/count-all -> shipping (shop::shipping::count_all : shop::orders::OrderPlaced)
subscription order-placed/ship -> shipping (shop::shipping::ship : shop::orders::OrderPlaced)
endpoint POST /orders -> orders (shop::orders::place)
mount /files -> orders (shop::orders::files)
",
    );
}
