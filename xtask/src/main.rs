//! Checks of the house that rustc and clippy do not make.

fn main() {}
