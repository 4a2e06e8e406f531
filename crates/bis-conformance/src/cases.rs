//! The cases, by what they are about. Each takes a broker of its own and panics where the contract is broken.

pub mod consuming;
pub mod delivery;
pub mod ordering;
pub mod outages;
pub mod publishing;
pub mod settling;
