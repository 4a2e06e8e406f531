//! Every broker runs the suite: one module each, one test a case.

mod nsqd;
mod spawned;
