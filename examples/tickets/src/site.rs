//! Pages for people, from a plain axum router.

use axum::{Router, routing::get};

bis::service!("site");

#[bis::mount("/pages")]
fn pages() -> Router {
    Router::new().route("/about", get(async || "Tickets at the door, too."))
}
