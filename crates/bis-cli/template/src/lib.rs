//! Orders and shipping, which know each other by events.

pub mod orders;
pub mod shipping;

bis::app!(services: [orders, shipping]);
