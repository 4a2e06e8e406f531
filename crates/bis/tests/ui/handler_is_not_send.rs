//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[subscription(PLACED)]
async fn keeps_an_rc(order: OrderPlaced) -> Result<()> {
    let shared = std::rc::Rc::new(order);
    bis::time::sleep(Duration::from_secs(1)).await;
    drop(shared);
    Ok(())
}

fn main() {}
