//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[api(post, "orders/:id", everyone)]
async fn all_at_once() -> Result<()> {
    Ok(())
}

#[api(GET, "/orders/{id}/{id}", public, cached)]
async fn twice() -> Result<()> {
    Ok(())
}

#[api(GET)]
async fn too_few() -> Result<()> {
    Ok(())
}

#[api(GET, "/blocking", public)]
fn not_async() -> Result<()> {
    Ok(())
}

#[api(GET, "/generic", public)]
async fn generic<T>() -> Result<()> {
    Ok(())
}

fn main() {}
