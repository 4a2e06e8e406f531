//! A small shop: carts, orders, shipping and e-mail, which communicate by events.
//!
//! Its state is in memory, so that the example needs nothing but Bis.

pub mod cart;
pub mod email;
pub mod orders;
pub mod shipping;

bis::app!(services: [cart, orders, shipping, email]);
