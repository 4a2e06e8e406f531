//! The broker that lives in the app's own process. Those that processes share are in `bis-drivers`.

pub use crate::events::in_process;
