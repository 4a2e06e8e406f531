//! Rust source to application graph and diagnostics.
