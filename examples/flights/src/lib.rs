//! A month of real departures as events: how late does one arrive where, and who should be told?

pub mod alerts;
pub mod delays;
pub mod departures;
pub mod flight;

bis::app!(services: [departures, delays, alerts]);
