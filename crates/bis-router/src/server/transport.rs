//! A client's bytes: plain TCP, then TLS and compression once they are negotiated.
//!
//! One value reads and writes, so that a connection polls one thing and the plain way costs nothing but a branch. It
//! knows no command and no frame.

mod codec;
mod deflate;
mod snappy;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use codec::Codec;
pub(super) use codec::Compressor;

/// How long a client may take for the TLS handshake, as on nsqd.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// One client's socket with the layers upon it.
pub(super) struct Transport {
    stream: Stream,
    codec: Option<Box<Codec>>,
}

enum Stream {
    Plain(TcpStream),
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        /// What was written may still lie in the TLS layer.
        is_behind: bool,
    },
}

/// What one turn of [`Transport::exchange`] did.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Bytes were taken from the output.
    pub(super) written: bool,
    /// How many bytes were added to the input; nought is the end of what the client sends.
    pub(super) read: Option<usize>,
}

impl Transport {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), codec: None }
    }

    /// Whether anything of the output, or of what was taken from it, has yet to reach the operating system.
    pub(super) fn is_behind(&self, output: &BytesMut) -> bool {
        !output.is_empty()
            || self.codec.as_ref().is_some_and(|codec| codec.is_behind())
            || matches!(self.stream, Stream::Tls { is_behind: true, .. })
    }

    /// Writes what there is and, if `may_read`, reads what has come: waits until one of the two was possible.
    /// Cancelling it loses nothing.
    pub(super) async fn exchange(
        &mut self,
        output: &mut BytesMut,
        input: &mut BytesMut,
        may_read: bool,
    ) -> io::Result<Exchange> {
        poll_fn(|context| {
            let mut exchange = Exchange::default();
            if self.is_behind(output)
                && let Poll::Ready(written) = self.poll_write(context, output)
            {
                written?;
                exchange.written = true;
            }
            if may_read && let Poll::Ready(read) = self.poll_read(context, input) {
                exchange.read = Some(read?);
            }
            if exchange.written || exchange.read.is_some() {
                Poll::Ready(Ok(exchange))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Writes everything and closes the writing side.
    pub(super) async fn finish(&mut self, output: &mut BytesMut) -> io::Result<()> {
        while self.is_behind(output) {
            poll_fn(|context| self.poll_write(context, output)).await?;
        }
        match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls { stream, .. } => stream.shutdown().await,
        }
    }

    /// The same connection with TLS upon it, after the handshake. Everything must have been written before.
    pub(super) async fn with_tls(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let Stream::Plain(stream) = self.stream else {
            return Err(io::Error::other("the connection uses TLS already"));
        };
        let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
        let stream = handshake.await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Self { stream: Stream::Tls { stream: Box::new(stream), is_behind: false }, codec: None })
    }

    /// Compresses from now on. Everything must have been written before.
    pub(super) fn compress(&mut self, compressor: Compressor) {
        self.codec = Some(Box::new(Codec::new(compressor)));
    }

    /// The TLS session, if there is one.
    pub(super) fn tls(&self) -> Option<&tokio_rustls::rustls::ServerConnection> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls { stream, .. } => Some(stream.get_ref().1),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        let Some(codec) = &mut self.codec else { return self.stream.poll_read(context, input) };
        loop {
            let before = input.len();
            codec.expand(input)?;
            if input.len() > before {
                return Poll::Ready(Ok(input.len() - before));
            }
            match self.stream.poll_read(context, codec.arrived()) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                end => return end,
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut BytesMut) -> Poll<io::Result<()>> {
        let Some(codec) = &mut self.codec else { return self.stream.poll_write(context, output) };
        if !codec.is_behind() {
            codec.squeeze(output)?;
        }
        self.stream.poll_write(context, codec.squeezed())
    }
}

impl Stream {
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => pin!(stream.read_buf(input)).poll(context),
            Self::Tls { stream, .. } => pin!(stream.read_buf(input)).poll(context),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut BytesMut) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => pin!(stream.write_buf(output)).poll(context).map_ok(drop),
            Self::Tls { stream, is_behind } => {
                if !output.is_empty() {
                    *is_behind = true;
                    return pin!(stream.write_buf(output)).poll(context).map_ok(drop);
                }
                let flushed = Pin::new(&mut **stream).poll_flush(context);
                *is_behind = flushed.is_pending();
                flushed
            }
        }
    }
}
