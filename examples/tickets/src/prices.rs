//! What a seat costs. It was an axum app of its own once: see `examples/from_axum.rs`.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, header::CACHE_CONTROL};
use bis::prelude::*;
use tower_http::set_header::SetResponseHeaderLayer;

bis::service!("prices", layers: [SetResponseHeaderLayer::overriding(CACHE_CONTROL, MINUTES)]);

const MINUTES: HeaderValue = HeaderValue::from_static("max-age=300");

/// The price list.
pub struct Prices(BTreeMap<String, u32>);

impl Prices {
    async fn load() -> Result<Self> {
        Ok(Self(BTreeMap::from([("hamlet".to_owned(), 45), ("tosca".to_owned(), 80)])))
    }
}

static PRICES: Resource<Prices> = bis::resource!(Prices::load);

/// What a seat costs.
#[api(GET, "/prices/{show}", public, timeout = "5s")]
async fn price(Path(show): Path<String>) -> Result<Json<u32>> {
    let price = PRICES.get().0.get(&show).copied();
    price.map(Json).ok_or_else(|| Error::not_found(format!("`{show}` is not on the price list")))
}
