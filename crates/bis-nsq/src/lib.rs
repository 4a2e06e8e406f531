//! The NSQ wire protocol, bytes in and out.
