//! The byte stream under a connection: plain TCP, or TLS over it. It knows neither frames nor commands.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What a connection runs over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Transport for T {}

/// A transport, and whether it may still buffer bytes that it accepted.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Box<dyn Transport>,
    flushing: bool,
}

/// What [`Stream::transfer`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transferred {
    /// This many bytes were read; zero means the end.
    Read(usize),
    /// Some bytes were written.
    Wrote,
}

impl Stream {
    pub(super) fn new(transport: impl Transport + 'static) -> Self {
        Self { transport: Box::new(transport), flushing: false }
    }

    pub(super) fn into_transport(self) -> Box<dyn Transport> {
        self.transport
    }

    /// Moves some bytes in whichever direction is ready first. Cancel safe.
    pub(super) async fn transfer(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> std::io::Result<Transferred> {
        poll_fn(|context| {
            if !output.is_empty()
                && let Poll::Ready(written) = Pin::new(&mut self.transport).poll_write(context, output)
            {
                let written = written?;
                if written == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                output.advance(written);
                self.flushing = true;
                return Poll::Ready(Ok(Transferred::Wrote));
            }
            if self.flushing && output.is_empty() {
                // TLS buffers what the socket did not accept; plain TCP buffers nothing.
                if let Poll::Ready(flushed) = Pin::new(&mut self.transport).poll_flush(context) {
                    flushed?;
                    self.flushing = false;
                }
            }
            pin!(self.transport.read_buf(input)).poll(context).map_ok(Transferred::Read)
        })
        .await
    }
}
