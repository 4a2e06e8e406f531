//! The application graph, its rules and exports.
