//! The brokers that an app can link. A driver moves events and settles deliveries; it knows nothing of handlers, retry
//! policies, timeouts and dead letters.

pub mod in_process;
pub mod nsq;
