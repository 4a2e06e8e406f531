//! A small shop: carts, orders, shipping and e-mail, which communicate by events.
//!
//! Its state is in memory, so that the example needs nothing but Bis.

pub mod carrier;
pub mod cart;
pub mod email;
pub mod orders;
pub mod shipping;
pub mod staff;
pub mod table;

use tower_http::cors::CorsLayer;

// A web page of any origin may call the shop.
bis::app!(services: [cart, orders, shipping, email], layers: [CorsLayer::permissive()]);
