//! Where panics of an app's code become values: of a call, of a future, and of what a future drops.

use std::{
    any::Any,
    fmt::{self, Display},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// The message of a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panic(String);

impl Panic {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self(text.unwrap_or("a value that is not text").to_owned())
    }

    /// Its text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Calls a function of the app. What it leaves half done when it panics must not be used again.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Panic::new(&*payload))
}

/// A future of the app whose panics are results. A destructor that panics when it is dropped changes no result; the log names
/// `whose` future it was.
pub(crate) struct Caught<F, W: Display> {
    whose: W,
    /// Until it has ended.
    future: Option<F>,
}

impl<F, W: Display> Caught<F, W> {
    pub(crate) fn new(whose: W, future: F) -> Self {
        Self { whose, future: Some(future) }
    }

    /// Drops what is left.
    fn end(&mut self) {
        let future = self.future.take();
        if let Err(panic) = catch(|| drop(future)) {
            tracing::error!(whose = %self.whose, %panic, "a destructor panicked when the code had ended");
        }
    }
}

impl<F: Future + Unpin, W: Display + Unpin> Future for Caught<F, W> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut().expect("it is not polled again after it has ended");
        // The future is not polled again after it panicked, so nobody sees what it left half done.
        let output = match catch(|| Pin::new(future).poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.end();
        Poll::Ready(output)
    }
}

impl<F, W: Display> Drop for Caught<F, W> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics when it is dropped.
    struct Fragile;

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    /// Ends at once, and panics when it is dropped.
    struct Ends(Fragile);

    impl Future for Ends {
        type Output = u8;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
            Poll::Ready(7)
        }
    }

    fn text<T: fmt::Debug>(result: Result<T, Panic>) -> String {
        result.unwrap_err().into_text()
    }

    #[tokio::test]
    async fn a_panic_is_a_result_with_its_text() {
        assert_eq!(text(catch(|| panic!("plain"))), "plain");
        assert_eq!(text(catch(|| panic!("{}", 7))), "7");
        assert_eq!(text(catch(|| std::panic::panic_any(7))), "a value that is not text");
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(text(Caught::new("a test", Box::pin(async { panic!("later") })).await), "later");
    }

    #[tokio::test]
    async fn a_destructor_that_panics_changes_no_result() {
        assert_eq!(Caught::new("a test", Ends(Fragile)).await, Ok(7));
        drop(Caught::new("a test", Ends(Fragile)));
    }
}
