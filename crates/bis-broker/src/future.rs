//! The form of futures in traits that are used as objects.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a trait object answers, at once or later, where it happens for every event: unlike a [`BoxFuture`] it allocates only
/// when the answer must be waited for, and not even then where the object keeps what is waited for.
#[must_use = "it is answered when this is awaited"]
pub struct Answer<'a, T>(Form<'a, T>);

enum Form<'a, T> {
    Ready(Option<T>),
    Boxed(BoxFuture<'a, T>),
    Lent(Lent<'a, T>),
}

/// Something that can be waited for again and again, for [`Answer::kept`].
pub trait Wait<T>: Send {
    /// Polls it as a future, except that it may be polled again after it was ready: then for the next.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<T>;

    /// Nobody waits any more, because it was ready or the [`Answer`] was dropped.
    fn end(&mut self);
}

/// Tells the object when nobody waits any more.
struct Lent<'a, T>(&'a mut dyn Wait<T>);

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<'a, T> Answer<'a, T> {
    /// The answer is here.
    pub fn ready(answer: T) -> Self {
        Self(Form::Ready(Some(answer)))
    }

    /// The answer comes from a future.
    pub fn boxed(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Form::Boxed(Box::pin(future)))
    }

    /// The answer comes from what the object itself keeps.
    pub fn kept(wait: &'a mut dyn Wait<T>) -> Self {
        Self(Form::Lent(Lent(wait)))
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Form::Ready(answer) => {
                Poll::Ready(answer.take().expect("it is not polled again once it was ready"))
            }
            Form::Boxed(future) => future.as_mut().poll(context),
            Form::Lent(Lent(wait)) => wait.poll(context),
        }
    }
}

impl<T> fmt::Debug for Answer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.0 {
            Form::Ready(_) => "ready",
            Form::Boxed(_) => "boxed",
            Form::Lent(_) => "kept",
        };
        f.debug_tuple("Answer").field(&form).finish()
    }
}
