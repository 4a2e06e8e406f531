//! The `bis` command from outside: real processes, real sockets, real output. Everything is bounded in time.

mod support;

mod comparison;
mod edits;
mod end_to_end;
mod guide;
mod letters;
mod output;
mod router;
mod router_server;
mod supervision;
mod watching;
