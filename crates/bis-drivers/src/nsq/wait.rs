//! Waiting for several futures at once, without a crate for it.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// A short-lived future.
pub(super) type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The first one that is ready, with which one it is as the output; waits forever when there is none. Those behind it are asked first
/// the next time only if the caller orders them so.
pub(super) async fn first<T>(mut waits: Vec<Wait<'_, T>>) -> T {
    poll_fn(|context| {
        for wait in &mut waits {
            if let Poll::Ready(output) = wait.as_mut().poll(context) {
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

/// All of them, side by side.
pub(super) async fn all(mut waits: Vec<Wait<'_, ()>>) {
    poll_fn(|context| {
        waits.retain_mut(|wait| wait.as_mut().poll(context).is_pending());
        if waits.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
