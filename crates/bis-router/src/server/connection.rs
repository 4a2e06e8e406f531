//! One NSQ client: bytes in, commands carried out in order, answers and messages out.
//!
//! An answer that promises something waits in line for its commit; messages and heartbeats do not wait in that line.
//! What a command means stands in [`super::commands`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bis_broker::BoxFuture;
use bis_nsq::{
    Command, HEARTBEAT, Limits, MAGIC_V2, OK, ProtocolError, decode_command, encode_error, encode_response,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::clients::Presence;
use super::{Server, unix_seconds};
use crate::journal::fetch::Fetched;
use crate::state::Ticket;
use crate::state::delivery::{Round, Subscription};
use crate::state::topic::ClientInfo;

/// A client that has so many answers due is not read from.
const MAX_PENDING: usize = 8192;
/// A client that has sent so many bytes that are not answered is not read from.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;
/// A client that does not read what was sent gets no more messages beyond this many bytes.
const MAX_UNSENT: usize = 512 * 1024;
/// How many commands are carried out at once.
const COMMANDS_AT_ONCE: usize = 512;
/// How long a stopping router waits for a client to finish what it has.
const GRACE: Duration = Duration::from_secs(2);
/// How long nothing is delivered after the journal could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// The size of one read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// An answer in line.
pub(super) enum Answer {
    /// Can go.
    Now(Bytes),
    /// An error that can go.
    Error(String),
    /// `OK`, or the error that the commit's failure makes, once the ticket is decided.
    Stored { ticket: Ticket, bytes: usize, refusal: fn(&str) -> ProtocolError },
    /// `OK` for a subscription, which begins with it.
    Subscribed { ticket: Ticket },
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Fresh,
    Subscribed,
    /// After `CLS`: settles what it has, gets no more.
    Closing,
}

/// A client's side of the server.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) limits: Limits,
    pub(super) stage: Stage,
    pub(super) heartbeat: Option<Duration>,
    pub(super) message_timeout: Duration,
    pub(super) client: Arc<ClientInfo>,
    pub(super) presence: Presence,
    pub(super) subscription: Option<Subscription>,
    pub(super) wake: Arc<Notify>,
    answers: VecDeque<Answer>,
    pending_bytes: usize,
    received: BytesMut,
    unsent: BytesMut,
    /// No more commands are read; the connection ends when everything is sent.
    ending: bool,
    /// There may be messages to hand out.
    look: bool,
    /// The subscription's `OK` is sent.
    started: bool,
    deadline: Option<Instant>,
    /// What is being read because the log lacked it.
    fetching: Option<BoxFuture<'static, io::Result<Fetched>>>,
    /// What was read, for the next round.
    fetched: Option<Fetched>,
    /// Reading failed: nothing is delivered before.
    read_again: Option<Instant>,
}

/// Serves one client until it goes, misbehaves, or the router stops.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, remote: SocketAddr) {
    let client = ClientInfo {
        client_id: remote.ip().to_string(),
        hostname: remote.ip().to_string(),
        remote_address: remote.to_string(),
        connected: unix_seconds(),
        ..ClientInfo::default()
    };
    let limits = Limits {
        max_message_bytes: server.options.max_message_bytes,
        max_body_bytes: server.options.max_body_bytes,
        max_rdy_count: server.options.max_ready_count,
        max_requeue_delay: server.options.max_requeue_delay,
        extensions: false,
    };
    let client = Arc::new(client);
    let presence = server.clients.enter(Arc::clone(&client));
    let mut connection = Connection {
        limits,
        stage: Stage::Fresh,
        heartbeat: Some(Limits::DEFAULT_HEARTBEAT),
        message_timeout: server.options.message_timeout,
        client,
        presence,
        subscription: None,
        wake: Arc::new(Notify::new()),
        answers: VecDeque::new(),
        pending_bytes: 0,
        received: BytesMut::new(),
        unsent: BytesMut::new(),
        ending: false,
        look: false,
        started: false,
        deadline: None,
        fetching: None,
        fetched: None,
        read_again: None,
        server,
    };
    if let Err(error) = connection.run(stream).await {
        tracing::debug!(%remote, %error, "a client's connection ended");
    }
    if let Some(subscription) = connection.subscription.take() {
        connection.server.shared.lock().unsubscribe(&subscription);
        connection.server.shared.kick();
    }
}

impl Connection {
    async fn run(&mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut magic = [0; 4];
        let read = tokio::time::timeout(2 * Limits::DEFAULT_HEARTBEAT, stream.read_exact(&mut magic));
        read.await.map_err(|_| io::ErrorKind::TimedOut)??;
        if &magic != MAGIC_V2 {
            encode_error(&mut self.unsent, "E_BAD_PROTOCOL");
            return stream.write_all(&self.unsent).await;
        }
        let (mut reader, mut writer) = stream.split();
        let server = Arc::clone(&self.server);
        let mut progress = server.shared.progress.subscribe();
        let stopped = server.shared.stopped();
        tokio::pin!(stopped);
        let mut is_stopping = false;
        let mut last_read = Instant::now();
        let mut next_heartbeat = self.heartbeat.map(|interval| Instant::now() + interval);
        loop {
            self.send_answers(&progress.borrow_and_update());
            self.deliver();
            if self.ending && self.answers.is_empty() && self.unsent.is_empty() {
                return writer.shutdown().await;
            }
            let may_read = !self.ending
                && self.answers.len() < MAX_PENDING
                && self.pending_bytes < MAX_PENDING_BYTES
                && self.unsent.len() < MAX_UNSENT;
            let silence = self.heartbeat.filter(|_| may_read).map(|interval| last_read + 2 * interval);
            // Who already has a reason to look waits for something else: room, or the end of a pause.
            let again = if self.look {
                self.read_again.filter(|again| *again > Instant::now())
            } else {
                self.deadline
            };
            let timer = [next_heartbeat, silence, again].into_iter().flatten().min();
            self.received.reserve(READ_BYTES);
            tokio::select! {
                read = reader.read_buf(&mut self.received), if may_read => {
                    if read? == 0 {
                        return Ok(());
                    }
                    last_read = Instant::now();
                    let before = self.heartbeat;
                    self.carry_out();
                    if self.heartbeat != before {
                        next_heartbeat = self.heartbeat.map(|interval| Instant::now() + interval);
                    }
                }
                written = writer.write_buf(&mut self.unsent), if !self.unsent.is_empty() => {
                    written?;
                }
                changed = progress.changed(), if !self.answers.is_empty() => {
                    changed.map_err(io::Error::other)?;
                }
                read = fetched(&mut self.fetching), if self.fetching.is_some() => {
                    self.fetching = None;
                    self.take_fetched(read);
                }
                () = self.wake.notified(), if self.subscription.is_some() => self.woken(),
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    let now = Instant::now();
                    if is_stopping || silence.is_some_and(|silence| silence <= now) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    if next_heartbeat.is_some_and(|next| next <= now) {
                        encode_response(&mut self.unsent, HEARTBEAT);
                        next_heartbeat = self.heartbeat.map(|interval| now + interval);
                    }
                    if self.deadline.take_if(|deadline| *deadline <= now).is_some() {
                        self.woken();
                    }
                }
                () = &mut stopped, if !is_stopping => {
                    // What was promised is answered; then the client is let go, and what it holds is requeued.
                    is_stopping = true;
                    self.ending = true;
                    next_heartbeat = Some(Instant::now() + GRACE);
                }
            }
        }
    }

    /// Carries out what was received. One lock for many commands.
    fn carry_out(&mut self) {
        let mut commands = Vec::new();
        loop {
            let decoded = decode_command(&mut self.received, &self.limits);
            let is_last = match &decoded {
                // It may change what the next bytes mean.
                Ok(Some(Command::Identify(_))) | Err(_) => true,
                Ok(Some(_)) => commands.len() + 1 >= COMMANDS_AT_ONCE,
                Ok(None) => true,
            };
            let is_nothing = matches!(decoded, Ok(None));
            if !is_nothing {
                commands.push(decoded);
            }
            if !is_last {
                continue;
            }
            let server = Arc::clone(&self.server);
            let mut state = server.shared.lock();
            for command in commands.drain(..) {
                if self.ending {
                    break;
                }
                let result = command.and_then(|command| match command {
                    Some(command) => self.execute(command, &mut state),
                    None => Ok(()),
                });
                if let Err(error) = result {
                    self.ending |= error.is_fatal();
                    self.answers.push_back(Answer::Error(error.to_string()));
                }
            }
            let is_work = state.is_awaited() || state.is_dirty();
            drop(state);
            if is_work {
                server.shared.kick();
            }
            if is_nothing || self.ending {
                return;
            }
        }
    }

    /// Puts an answer in line.
    pub(super) fn answer(&mut self, answer: Answer) {
        if let Answer::Stored { bytes, .. } = &answer {
            self.pending_bytes += bytes;
        }
        self.answers.push_back(answer);
    }

    /// Looks for messages at the next turn.
    pub(super) fn look_again(&mut self) {
        self.look = true;
    }

    /// Moves the answers that can go to the bytes to send.
    fn send_answers(&mut self, progress: &crate::state::Progress) {
        while let Some(answer) = self.answers.front() {
            let outcome = match answer {
                Answer::Now(_) | Answer::Error(_) => Ok(()),
                Answer::Stored { ticket, .. } | Answer::Subscribed { ticket } => {
                    let Some(outcome) = progress.outcome(*ticket) else { return };
                    outcome
                }
            };
            match (self.answers.pop_front(), outcome) {
                (Some(Answer::Now(data)), _) => encode_response(&mut self.unsent, &data),
                (Some(Answer::Error(text)), _) => encode_error(&mut self.unsent, &text),
                (Some(Answer::Stored { bytes, .. }), Ok(())) => {
                    self.pending_bytes -= bytes;
                    encode_response(&mut self.unsent, OK);
                }
                (Some(Answer::Stored { bytes, refusal, .. }), Err(reason)) => {
                    self.pending_bytes -= bytes;
                    encode_error(&mut self.unsent, &refusal(&reason).to_string());
                    self.ending = true;
                }
                (Some(Answer::Subscribed { .. }), Ok(())) => {
                    self.started = true;
                    self.look = true;
                    encode_response(&mut self.unsent, OK);
                }
                (Some(Answer::Subscribed { .. }), Err(reason)) => {
                    encode_error(&mut self.unsent, &format!("E_SUB_FAILED SUB failed {reason}"));
                    self.ending = true;
                }
                (None, _) => return,
            }
        }
    }

    /// Delivery goes on with what was read, or after a pause when it could not be.
    fn take_fetched(&mut self, read: io::Result<Fetched>) {
        self.look = true;
        match read {
            Ok(fetched) => self.fetched = Some(fetched),
            Err(_) => self.read_again = Some(Instant::now() + READ_PAUSE),
        }
    }

    /// There may be messages; if this client cannot take them now, another one may.
    fn woken(&mut self) {
        self.look = true;
        if (self.unsent.len() >= MAX_UNSENT || self.stage == Stage::Closing)
            && let Some(subscription) = &self.subscription
        {
            self.server.shared.lock().pass_on(subscription);
        }
    }

    fn deliver(&mut self) {
        let may_deliver = self.look
            && self.started
            && self.stage == Stage::Subscribed
            && !self.ending
            && self.fetching.is_none()
            && self.read_again.is_none_or(|again| again <= Instant::now());
        if !may_deliver || self.unsent.len() >= MAX_UNSENT {
            return;
        }
        let Some(subscription) = &self.subscription else { return };
        let shared = &self.server.shared;
        let now = shared.clock.now();
        let mut state = shared.lock();
        if let Some(fetched) = self.fetched.take() {
            state.log.supply(fetched);
        }
        let round = state.deliver(subscription, now, &mut self.unsent);
        let is_dirty = state.is_dirty();
        drop(state);
        if is_dirty {
            shared.kick();
        }
        self.look = matches!(round, Round::More);
        self.deadline = None;
        self.read_again = None;
        match round {
            Round::Gone => self.ending = true,
            Round::More => {}
            Round::Missing(missing) => {
                let shared = Arc::clone(&self.server.shared);
                self.fetching = Some(Box::pin(async move { shared.fetch(missing).await }));
            }
            Round::Done { deadline } => {
                self.deadline = deadline.map(|deadline| Instant::now() + deadline.since(now));
            }
        }
    }
}

/// Waits for what is being read; for ever when nothing is.
async fn fetched(fetching: &mut Option<BoxFuture<'static, io::Result<Fetched>>>) -> io::Result<Fetched> {
    match fetching {
        Some(fetching) => fetching.await,
        None => std::future::pending().await,
    }
}
