//! Orders and shipping, which communicate through events.

pub mod orders;
pub mod shipping;

bis::app!(services: [orders, shipping]);
