//! A stream that does not wait for its client forever. What is waited for follows from whether a request is being answered;
//! a body has a bound of its own, where it is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::options::HttpTimeouts;

/// Whether a request is being answered, as the service and the stream both know.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_answering: AtomicBool,
    /// A request has begun since the stream last checked.
    has_begun: AtomicBool,
}

impl Phase {
    pub(super) fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
        self.0.is_answering.store(true, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.0.is_answering.store(false, Ordering::Release);
    }
}

pub(super) struct Patient<S> {
    stream: S,
    phase: Phase,
    timeouts: HttpTimeouts,
    /// Bytes have come since the last request was answered, or none was.
    in_head: bool,
    /// Until when the client must go on sending; none while a request is being answered.
    reading: Option<Pin<Box<Sleep>>>,
    /// Until when the client must take something.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, phase: Phase, timeouts: HttpTimeouts) -> Self {
        Self { stream, phase, timeouts, in_head: true, reading: None, writing: None }
    }
}

/// The error of a wait that has taken too long since the first call.
fn late(
    timer: &mut Option<Pin<Box<Sleep>>>,
    longest: Duration,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(longest)));
    timer.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.phase.0.has_begun.swap(false, Ordering::AcqRel) {
            (this.reading, this.in_head) = (None, false);
        }
        if this.phase.0.is_answering.load(Ordering::Acquire) {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() && !this.in_head {
            this.in_head = true;
            if let Some(timer) = &mut this.reading {
                timer.as_mut().reset(Instant::now() + this.timeouts.head);
            }
        }
        let longest = if this.in_head { this.timeouts.head } else { this.timeouts.idle };
        // A head that arrives byte by byte has no more time than one that does not.
        match late(&mut this.reading, longest, context) {
            Poll::Ready(late) if read.is_pending() => Poll::Ready(Err(late)),
            _ => read,
        }
    }
}

impl<S> Patient<S> {
    /// The result of an attempt to write.
    fn tried<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        late(&mut self.writing, self.timeouts.answer, context).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.tried(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.tried(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.tried(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.tried(shut, context)
    }
}
