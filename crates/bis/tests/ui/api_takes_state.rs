//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[derive(Clone)]
pub struct Db;

#[api(GET, "/orders/{id}", public)]
async fn show(State(_db): State<Db>, Path(_id): Path<u64>) -> Result<()> {
    Ok(())
}

#[api(GET, "/orders", public)]
async fn list(_db: axum::extract::State<Db>) -> Result<()> {
    Ok(())
}

#[api(POST, "/orders", public)]
async fn body_first(_order: Json<u64>, _query: Query<Vec<u64>>) -> Result<()> {
    Ok(())
}

fn main() {}
