//! Every broker runs the suite: one module each, one test a case.

mod in_process;
mod nsqd;
mod router;
mod spawned;
