//! The grammar of Bis's attributes and declarations, shared by macros and analyser.
