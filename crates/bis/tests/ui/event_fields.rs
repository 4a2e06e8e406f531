//! A mistake and its error.

use bis::prelude::*;

bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");

#[derive(Event, Serialize, Deserialize)]
pub struct TwoKeys {
    #[event(key)]
    pub order_id: u64,
    #[event(key)]
    pub customer: u64,
}

#[derive(Event, Serialize, Deserialize)]
pub struct NotScalars {
    #[event(key)]
    pub lines: Vec<String>,
    #[event(attribute)]
    pub place: (f64, f64),
}

#[derive(Event, Serialize, Deserialize)]
pub struct Options {
    #[event(kye)]
    pub order_id: u64,
    #[event(attribute, sensitive)]
    pub email: String,
    #[event]
    pub region: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(key)]
pub enum Change {
    Placed {
        #[event(key)]
        order_id: u64,
    },
}

fn main() {}
