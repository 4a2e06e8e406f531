//! One connection to a server: bytes out, frames in, heartbeats answered. It never reconnects.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::stream::{Stream, Transferred};
use super::terms::Terms;
use super::tls::{Tls, TlsError};
use super::{MAX_FRAME_BYTES, OUTPUT_BYTES, Options, Order};
use crate::{
    Command, FEATURE_ORDERED, Frame, FrameError, HEARTBEAT, IdentifyReply, MAGIC_V2, Name, OK, ProtocolError,
    decode_frame,
};

const READ_BYTES: usize = 64 * 1024;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens there, or the name does not resolve.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was lost while it was being set up.
    #[error(transparent)]
    Lost(#[from] LostError),
    /// The server refused this client.
    #[error("the server refused: `{0}`")]
    Refused(ProtocolError),
    /// The server asks for a secret, which this client does not have.
    #[error("the server asks for `AUTH` and no secret is set (`auth` in the configuration of the broker)")]
    AuthRequired,
    /// TLS, which this client asks for, could not be established.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server does not offer a feature of Bis's extension that is asked for, such as
    /// [`FEATURE_ORDERED`](crate::FEATURE_ORDERED).
    #[error("the server does not offer `{0}`; Bis's own router does (`bis router`)")]
    Lacks(&'static str),
    /// The server answered something that no NSQ server answers.
    #[error("unexpected answer `{0}`; is this the TCP address of an NSQ server (by default port 4150)?")]
    Unexpected(String),
}

impl ConnectError {
    pub(super) fn unexpected(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&answer[..answer.len().min(100)]);
        Self::Unexpected(text.into_owned())
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LostError {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// The network failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Nothing was received for twice the heartbeat interval.
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    /// The bytes are not valid frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// An open connection after negotiation. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    server: IdentifyReply,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
}

impl Connection {
    /// Connects, sends the magic and `IDENTIFY`, and waits for the reply.
    pub async fn open(options: &Options) -> Result<Self, ConnectError> {
        let opening = async {
            let mut terms = Terms::new(options);
            loop {
                match Self::negotiate(options, terms).await {
                    Err(ConnectError::Refused(refusal)) => match terms.after(&refusal) {
                        Some(less) => terms = less,
                        None => return Err(ConnectError::Refused(refusal)),
                    },
                    done => return done,
                }
            }
        };
        let opened = timeout(options.connect_timeout, opening).await;
        opened.map_err(|_| ConnectError::Timeout(options.connect_timeout))?
    }

    async fn negotiate(options: &Options, terms: Terms) -> Result<Self, ConnectError> {
        let stream = TcpStream::connect(&options.address).await?;
        stream.set_nodelay(true)?;
        let patience = terms.patience();
        let mut connection = Self {
            stream: Stream::new(stream),
            input: BytesMut::with_capacity(READ_BYTES),
            output: BytesMut::from(&MAGIC_V2[..]),
            server: IdentifyReply::default(),
            patience,
            silence: Box::pin(sleep_until(Instant::now() + patience)),
        };
        let reply = connection.ask(&terms.hello(options)).await?;
        connection.server = serde_json::from_slice(&reply).map_err(|_| ConnectError::unexpected(&reply))?;
        if let Some(tls) = &options.tls {
            connection = connection.secured(tls, &options.address).await?;
        }
        if connection.server.auth_required {
            connection.authenticate(options).await?;
        }
        Ok(connection)
    }

    /// Switches to TLS, which the server confirms with an `OK`.
    async fn secured(mut self, tls: &Tls, address: &str) -> Result<Self, ConnectError> {
        if !self.server.tls_v1 {
            return Err(TlsError::NotOffered.into());
        }
        if !self.input.is_empty() {
            // Bytes that arrived before the handshake were never secured; someone in between may have injected them.
            return Err(ConnectError::unexpected(&self.input));
        }
        self.stream = tls.handshake(address, self.stream).await?;
        let answer = self.response().await?;
        if answer == OK { Ok(self) } else { Err(ConnectError::unexpected(&answer)) }
    }

    async fn authenticate(&mut self, options: &Options) -> Result<(), ConnectError> {
        let secret = options.auth_secret.as_ref().ok_or(ConnectError::AuthRequired)?;
        // The answer says who this client is and what it may do; it is meant for people.
        self.ask(&Command::Auth(Bytes::copy_from_slice(secret.reveal().as_bytes()))).await.map(drop)
    }

    /// What the server granted and what it offers.
    #[must_use]
    pub fn server(&self) -> &IdentifyReply {
        &self.server
    }

    /// Adds a command to the output, which [`Connection::next`] writes.
    pub fn queue(&mut self, command: &Command) {
        command.encode(&mut self.output);
    }

    /// Whether more commands may be queued; if not, call [`Connection::next`] first.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_BYTES
    }

    /// Subscribes this connection; no message arrives before a `RDY`. [`ConnectError::Lacks`] when the server
    /// cannot keep the requested order.
    pub async fn subscribe(
        &mut self,
        topic: &Name,
        channel: &Name,
        order: Order,
        patience: Duration,
    ) -> Result<(), ConnectError> {
        let ordered = order == Order::ByKey;
        if ordered && !self.server.offers(FEATURE_ORDERED) {
            return Err(ConnectError::Lacks(FEATURE_ORDERED));
        }
        let subscribe = Command::Subscribe { topic: topic.clone(), channel: channel.clone(), ordered };
        let answer = timeout(patience, self.ask(&subscribe)).await;
        let answer = answer.map_err(|_| ConnectError::Timeout(patience))??;
        if answer == OK { Ok(()) } else { Err(ConnectError::unexpected(&answer)) }
    }

    /// Sends a command and waits for its answer. Nothing else may be in flight.
    pub(super) async fn ask(&mut self, command: &Command) -> Result<Bytes, ConnectError> {
        self.queue(command);
        self.response().await
    }

    /// Writes what is queued, reads, and returns the next frame that is not a heartbeat. Cancel safe.
    pub async fn next(&mut self) -> Result<Frame, LostError> {
        loop {
            match decode_frame(&mut self.input, MAX_FRAME_BYTES)? {
                Some(Frame::Response(data)) if data == HEARTBEAT => self.queue(&Command::Nop),
                Some(frame) => return Ok(frame),
                None => self.transfer().await?,
            }
        }
    }

    /// Moves some bytes in either direction.
    async fn transfer(&mut self) -> Result<(), LostError> {
        if self.input.capacity() - self.input.len() < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES);
        }
        tokio::select! {
            transferred = self.stream.transfer(&mut self.input, &mut self.output) => match transferred? {
                Transferred::Read(0) => return Err(LostError::Closed),
                Transferred::Read(_) => self.silence.as_mut().reset(Instant::now() + self.patience),
                Transferred::Wrote => {}
            },
            () = self.silence.as_mut() => return Err(LostError::Silent(self.patience)),
        }
        Ok(())
    }

    /// The answer to the one command in flight.
    async fn response(&mut self) -> Result<Bytes, ConnectError> {
        match self.next().await? {
            Frame::Response(data) => Ok(data),
            Frame::Error(data) => Err(ProtocolError::parse(&data)
                .map_or_else(|| ConnectError::unexpected(&data), ConnectError::Refused)),
            Frame::Message(message) => Err(ConnectError::unexpected(&message.body)),
        }
    }

    /// Writes what is queued, shuts down the sending side, and waits until the server has read everything and
    /// closed, for at most `patience`. Messages that still arrive are left to the server, which delivers them
    /// again.
    pub async fn finish(mut self, patience: Duration) {
        let mut transport = self.stream.into_transport();
        let closing = async {
            transport.write_all_buf(&mut self.output).await?;
            transport.shutdown().await?;
            loop {
                self.input.clear();
                if transport.read_buf(&mut self.input).await? == 0 {
                    return Ok::<(), std::io::Error>(());
                }
            }
        };
        match timeout(patience, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection broke while closing"),
            Err(_) => tracing::debug!("the server did not close the connection in time"),
        }
    }
}
