//! Tests of a whole app in one process: its own runtime, its own memory broker, its own time. Tests that run at once do
//! not meet.

mod app;
mod chaos;
mod keeper;
mod recorder;
mod run;

pub use app::{NotSettled, TestApp};
pub use chaos::{TestChaos, run_chaos_test};
pub use run::{PATIENCE, TestOutcome, run_test};

use recorder::{Recorded, Recorder};
