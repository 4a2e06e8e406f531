//! Tests of a whole app in one process: its own runtime, its own memory broker, its own time. Tests that run at once do
//! not meet. And seeded faults, for tests and for running apps.

mod app;
mod as_user;
pub mod chaos;
pub(crate) mod keeper;
pub(crate) mod recorder;

pub use app::{NotSettled, TestApp};
pub use as_user::AsUser;
