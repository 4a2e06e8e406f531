//! A client's bytes: plain TCP, then TLS and compression once they are negotiated.
//!
//! One value reads and writes, so that a connection polls one thing and plain TCP costs only a branch. It
//! knows no command and no frame.

mod codec;
mod deflate;
mod snappy;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use rustix::net::{self, RecvFlags};
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
    /// Why the bytes end behind those that were read.
    end: Option<io::Error>,
    /// Why nothing can be written any more. What the client has sent is read nevertheless.
    cut: Option<io::Error>,
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
    /// How many bytes were added to the input.
    pub(super) read: usize,
    /// The client sends no more, or nothing that can be read. What was added to the input came before.
    pub(super) end: Option<End>,
}

/// How a client's bytes end.
#[derive(Debug)]
pub(super) enum End {
    Closed,
    Broken(io::Error),
}

impl Transport {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), codec: None, end: None, cut: None }
    }

    /// Whether anything of the output, or of what was taken from it, has yet to reach the operating system.
    pub(super) fn is_behind(&self, output: &BytesMut) -> bool {
        self.cut.is_none()
            && (!output.is_empty()
                || self.codec.as_ref().is_some_and(|codec| codec.is_behind())
                || matches!(self.stream, Stream::Tls { is_behind: true, .. }))
    }

    /// Whether nothing can be written any more.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Writes what there is and, if `may_read`, reads what has come: waits until one of the two was possible.
    /// Cancelling it loses nothing.
    pub(super) async fn exchange(
        &mut self,
        output: &mut BytesMut,
        input: &mut BytesMut,
        may_read: bool,
    ) -> Exchange {
        poll_fn(|context| {
            let mut exchange = Exchange::default();
            if self.is_behind(output)
                && let Poll::Ready(written) = self.poll_write(context, output)
            {
                exchange.written = true;
                self.cut = written.err();
            }
            // Twice, to know at once whether what was read is the last: then nobody is there to be sent anything.
            for _ in 0..2 {
                let has_room = exchange.read == 0 || input.len() < input.capacity();
                if !may_read || !has_room || exchange.end.is_some() {
                    break;
                }
                match self.poll_read(context, input) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => exchange.end = Some(End::Closed),
                    Poll::Ready(Ok(count)) => exchange.read += count,
                    Poll::Ready(Err(error)) => exchange.end = Some(End::Broken(error)),
                }
            }
            if exchange.written || exchange.read > 0 || exchange.end.is_some() {
                Poll::Ready(exchange)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Whether the client has closed its side, and nothing of it is left to be read from the operating system. It asks that
    /// one, which knows before the runtime does.
    pub(super) fn is_closed(&self) -> bool {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls { stream, .. } => stream.get_ref().0,
        };
        let peeked = net::recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((_, 0)))
    }

    /// Closes the writing side. Everything must have been written before.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        if let Some(error) = self.cut.take() {
            return Err(error);
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
        let stream = Stream::Tls { stream: Box::new(stream), is_behind: false };
        Ok(Self { stream, codec: None, end: None, cut: None })
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

    /// Reads once. What came before an error is read first, and the error comes with the next call.
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        if let Some(error) = self.end.take() {
            return Poll::Ready(Err(error));
        }
        let before = input.len();
        let read = self.poll_read_once(context, input);
        match (read, input.len() - before) {
            (Poll::Ready(Err(error)), count) if count > 0 => {
                self.end = Some(error);
                Poll::Ready(Ok(count))
            }
            (read, _) => read,
        }
    }

    fn poll_read_once(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        let Some(codec) = &mut self.codec else { return self.stream.poll_read(context, input) };
        loop {
            let before = input.len();
            codec.expand(input)?;
            if input.len() > before {
                return Poll::Ready(Ok(input.len() - before));
            }
            let arrived = codec.arrived();
            let waiting = arrived.len();
            match self.stream.poll_read(context, arrived) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                // Under the compression too there may be bytes before the error.
                Poll::Ready(Err(_)) if codec.arrived().len() > waiting => {}
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
            Self::Tls { stream, .. } => {
                let read = pin!(stream.read_buf(input)).poll(context);
                if let Poll::Ready(Err(_)) = &read {
                    // A record that cannot be read does not undo those before it, which came with it.
                    let mut writer = input.writer();
                    // The session says only that there is no more.
                    let _ = io::copy(&mut stream.get_mut().1.reader(), &mut writer);
                }
                read
            }
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
