//! Orders and shipping, which communicate by events.

pub mod orders;
pub mod shipping;

bis::app!(services: [orders, shipping]);
