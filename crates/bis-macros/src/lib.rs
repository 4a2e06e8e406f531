//! The attributes and derives of Bis.
