//! The one suite that every broker driver runs.
