//! The `bis` command.

fn main() {}
