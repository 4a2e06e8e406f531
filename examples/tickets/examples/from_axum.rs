//! The price list as an axum app, before it became the service `prices`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    routing::get,
};
use tower_http::{cors::CorsLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer};

#[derive(Clone)]
struct AppState {
    prices: Arc<BTreeMap<String, u32>>,
}

async fn price(
    State(state): State<AppState>,
    Path(show): Path<String>,
) -> Result<Json<u32>, (StatusCode, String)> {
    let price = state.prices.get(&show).copied();
    price.map(Json).ok_or((StatusCode::NOT_FOUND, format!("`{show}` is not on the price list")))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let prices = Arc::new(BTreeMap::from([("hamlet".to_owned(), 45), ("tosca".to_owned(), 80)]));
    let router = Router::new()
        .route("/prices/{show}", get(price))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5)))
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("max-age=300")))
        .layer(CorsLayer::permissive())
        .with_state(AppState { prices });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
    axum::serve(listener, router).await
}
