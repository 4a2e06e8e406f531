//! One NSQ client: bytes in, commands carried out in order, answers and messages out.
//!
//! An answer that promises something waits in line for its commit; messages and heartbeats do not wait in that line.
//! Whatever is ready to be sent is sent at once: the output buffer's timeout, which clients negotiate, is a bound that is
//! kept by never waiting. What a command means stands in [`super::commands`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bis_broker::BoxFuture;
use bis_broker::channel::{Parting, Time};
use bis_journal::{Progress, Subscription, Ticket};
use bis_nsq::{
    Command, Decoder, ErrorCode, HEARTBEAT, Limits, MAGIC_V2, OK, ProtocolError, cut_off, encode_error,
    encode_response,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::{Answer, Answers};
use super::auth::Grant;
use super::client::ClientInfo;
use super::clients::Presence;
use super::consume::{Lookout, MAX_UNSENT};
use super::gate::{Gate, Stage};
use super::inquiry::Inquiry;
use super::negotiate::{Terms, Upgrade, tls_facts};
use super::permission::Asking;
use super::stranger::Stranger;
use super::transport::{Compressor, End, Transport};
use super::{Server, ephemeral, tls, unix_seconds};

/// How many commands are carried out at once. Then other clients have a turn, and the lock. As much is [`READ_BYTES`].
const COMMANDS_AT_ONCE: usize = 512;
/// How long a stopping router listens to a client at most, and then waits for it to take its answers.
const GRACE: Duration = Duration::from_secs(2);
/// How long a client that holds messages must be quiet before a stopping router lets it go.
const QUIET: Duration = Duration::from_millis(100);
/// The same for a client that holds none: what it has sent must have arrived.
const QUIET_IDLE: Duration = Duration::from_millis(5);
/// The size of one read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A client's side of the server.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) remote: SocketAddr,
    pub(super) limits: Limits,
    pub(super) stage: Stage,
    pub(super) terms: Terms,
    pub(super) client: Arc<ClientInfo>,
    pub(super) presence: Presence,
    pub(super) subscription: Option<Subscription>,
    pub(super) wake: Arc<Notify>,
    pub(super) answers: Answers,
    pub(super) lookout: Lookout,
    pub(super) unsent: BytesMut,
    /// No more commands are read; the connection ends when everything is sent.
    pub(super) ending: bool,
    /// The router stops: nothing is delivered, what the client has sent is still carried out.
    pub(super) stopping: Option<Stopping>,
    pub(super) upgrade: Option<Upgrade>,
    /// The common name of the client's certificate.
    pub(super) common_name: String,
    /// What `AUTH` said.
    pub(super) secret: Bytes,
    pub(super) grant: Option<Grant>,
    pub(super) asking: Option<Asking>,
    pub(super) inquiry: Option<Inquiry>,
    /// Until the client is known, where it must be.
    pub(super) stranger: Option<Stranger>,
    received: BytesMut,
    decoder: Decoder,
    /// Read and not yet carried out.
    commands: VecDeque<Result<Command, ProtocolError>>,
    /// What was received may hold more commands; others have a turn first.
    has_more: bool,
    /// How many bytes were read since others had a turn.
    turn_bytes: usize,
    /// The commit to wait for before more is read: too much waits for it, of all clients together.
    crowded: Option<Ticket>,
    /// The client will send no more.
    pub(super) is_over: bool,
    /// The client will take no more.
    pub(super) is_cut: bool,
    /// When the commands at hand are carried out.
    pub(super) now: Time,
    /// The date at the same moment.
    pub(super) date: Time,
    last_read: Instant,
    /// Since when bytes wait to be sent without any having gone.
    behind_since: Option<Instant>,
    next_heartbeat: Option<Instant>,
}

/// Until when a stopping router waits for a client.
pub(super) struct Stopping {
    /// The client is let go when it has said nothing until then.
    quiet: Instant,
    /// The client is let go then at the latest.
    listening: Instant,
    /// The connection is cut off then.
    end: Instant,
}

/// Serves one client until it goes, misbehaves, or the router stops.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, remote: SocketAddr) {
    let mut connection = Connection::new(server, remote);
    if let Err(error) = connection.run(stream).await {
        tracing::debug!(%remote, error = error.to_string(), "a client's connection ended");
    }
    if let Some(subscription) = connection.subscription.take() {
        // A router that stops says nothing about its clients.
        let parting = if connection.stopping.is_some() { Parting::Dismissed } else { Parting::Vanished };
        ephemeral::unsubscribe(&mut connection.server.journal.lock(), &subscription, parting);
        connection.server.journal.kick();
    }
}

impl Connection {
    fn new(server: Arc<Server>, remote: SocketAddr) -> Self {
        let client = ClientInfo {
            client_id: remote.ip().to_string(),
            hostname: remote.ip().to_string(),
            remote_address: remote.to_string(),
            connected: unix_seconds(),
            ..ClientInfo::default()
        };
        let client = Arc::new(client);
        let presence = server.clients.enter(Arc::clone(&client));
        let limits = Limits {
            max_message_bytes: server.options.max_message_bytes,
            max_body_bytes: server.options.max_body_bytes,
            max_rdy_count: server.options.max_ready_count,
            max_requeue_delay: server.options.max_requeue_delay,
            extensions: false,
            max_stranger_bytes: None,
        };
        let mut connection = Self {
            remote,
            limits,
            stage: Stage::Fresh,
            terms: Terms::new(&server.options),
            client,
            presence,
            subscription: None,
            wake: Arc::new(Notify::new()),
            answers: Answers::default(),
            lookout: Lookout::default(),
            unsent: BytesMut::new(),
            ending: false,
            stopping: None,
            upgrade: None,
            common_name: String::new(),
            secret: Bytes::new(),
            grant: None,
            asking: None,
            inquiry: None,
            received: BytesMut::new(),
            decoder: Decoder::default(),
            commands: VecDeque::new(),
            has_more: false,
            turn_bytes: 0,
            crowded: None,
            is_over: false,
            is_cut: false,
            now: Time::ZERO,
            date: Time::ZERO,
            last_read: Instant::now(),
            behind_since: None,
            next_heartbeat: None,
            stranger: None,
            server,
        };
        connection.note_known();
        connection
    }

    /// Whether the client says that it speaks the protocol. A router that stops does not wait for it.
    async fn is_greeted(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        stream.set_nodelay(true)?;
        let mut magic = [0; 4];
        let patience = match self.stranger {
            Some(_) => self.server.options.stranger_timeout,
            None => 2 * Limits::DEFAULT_HEARTBEAT,
        };
        tokio::select! {
            biased;
            read = timeout(patience, stream.read_exact(&mut magic)) => {
                read.map_err(|_| io::ErrorKind::TimedOut)??;
            }
            () = self.server.journal.stopped() => return Ok(false),
        }
        if &magic != MAGIC_V2 {
            encode_error(&mut self.unsent, "E_BAD_PROTOCOL");
            stream.write_all(&self.unsent).await?;
        }
        Ok(&magic == MAGIC_V2)
    }

    async fn run(&mut self, mut stream: TcpStream) -> io::Result<()> {
        if !self.is_greeted(&mut stream).await? {
            return Ok(());
        }
        let server = Arc::clone(&self.server);
        let stopped = server.journal.stopped();
        tokio::pin!(stopped);
        let mut transport = Transport::new(stream);
        let mut progress = server.journal.progress();
        self.last_read = Instant::now();
        self.start_heartbeats();
        loop {
            self.send_answers(&progress.borrow_and_update());
            // One that has asked and gone at once is sent nothing.
            if !self.lookout.started || !self.lookout.is_fresh || !transport.is_closed() {
                self.lookout.is_fresh &= !self.lookout.started;
                self.deliver();
            }
            if self.is_over && self.is_free() && !self.has_more && !self.ending {
                self.end_of_input();
                continue;
            }
            let is_settled =
                self.answers.is_empty() && self.inquiry.is_none() && !transport.is_behind(&self.unsent);
            if self.ending && is_settled {
                return timeout(GRACE, transport.finish()).await?;
            }
            if is_settled && let Some(upgrade) = self.upgrade.take() {
                transport = self.upgrade(transport, upgrade).await?;
                continue;
            }
            let has_room = !self.ending
                && self.is_free()
                && self.crowded.is_none()
                && self.answers.has_room()
                && self.unsent.len() < MAX_UNSENT;
            let may_read = has_room && !self.has_more && !self.is_over;
            self.note_progress(transport.is_behind(&self.unsent), false);
            let timer = self.next_timer(may_read);
            self.make_room();
            tokio::select! {
                exchange = transport.exchange(&mut self.unsent, &mut self.received, may_read),
                        if may_read || transport.is_behind(&self.unsent) => {
                    if exchange.written {
                        self.note_progress(transport.is_behind(&self.unsent), true);
                    }
                    self.note_end(exchange.end, transport.is_cut());
                    if exchange.read > 0 {
                        self.take_received(exchange.read);
                    }
                }
                // A client that sends without end would be the only one served: there is always something to read then.
                () = yield_now(), if has_room && self.has_more => self.take_turn(),
                changed = progress.changed(), if !self.answers.is_empty() || self.crowded.is_some() => {
                    changed.map_err(io::Error::other)?;
                }
                read = self.lookout.fetched(), if self.lookout.fetching.is_some() => {
                    self.lookout.take_fetched(read);
                }
                answer = pending(&mut self.inquiry), if self.inquiry.is_some() => {
                    self.inquiry = None;
                    self.answers.push(answer);
                    self.go_on();
                }
                answer = pending(&mut self.asking), if self.asking.is_some() => {
                    self.take_grant(answer);
                    self.go_on();
                }
                () = self.wake.notified(), if self.subscription.is_some() => self.woken(),
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    self.tick(may_read)?;
                }
                () = &mut stopped, if self.stopping.is_none() => {
                    let now = Instant::now();
                    self.stopping =
                        Some(Stopping { quiet: now, listening: now + GRACE, end: now + 2 * GRACE });
                    self.next_heartbeat = None;
                    self.note_activity(now);
                }
            }
        }
    }

    /// Moves the answers that can go to the bytes to send.
    fn send_answers(&mut self, progress: &Progress) {
        self.crowded.take_if(|ticket| progress.outcome(ticket).is_some());
        let sent = self.answers.send(progress, &mut self.unsent);
        if self.is_cut {
            self.unsent.clear();
        }
        self.lookout.started |= sent.is_subscribed;
        self.lookout.look |= sent.is_subscribed;
        self.ending |= sent.is_failed;
    }

    /// Room for the next read. A body that is arriving has its room already; twice as much would be wasted.
    fn make_room(&mut self) {
        let is_full = self.received.len() == self.received.capacity();
        if is_full || self.received.len() < READ_BYTES {
            self.received.reserve(READ_BYTES);
        }
    }

    /// What commands had to wait for is over: they have their turn when there is room for their answers. Meanwhile nothing
    /// was read, so that nothing is said of the client's silence.
    fn go_on(&mut self) {
        self.has_more = true;
        self.last_read = Instant::now();
    }

    /// Whether commands may be carried out: nothing is under way that they must wait for.
    fn is_free(&self) -> bool {
        self.asking.is_none() && self.inquiry.is_none() && self.upgrade.is_none()
    }

    /// The client sends no more, or takes no more: it is sent no more messages, and what it has sent is carried out.
    fn note_end(&mut self, end: Option<End>, is_cut: bool) {
        if let Some(end) = end {
            self.is_over = true;
            if let End::Broken(error) = end {
                tracing::debug!(remote = %self.remote, error = error.to_string(), "a client's bytes end here");
            }
        }
        self.is_cut |= is_cut;
    }

    /// Some bytes have arrived.
    fn take_received(&mut self, count: usize) {
        self.last_read = Instant::now();
        self.count_bytes(count);
        self.take_turn();
        self.turn_bytes += count;
        if self.turn_bytes >= READ_BYTES {
            // Few commands may have many bytes.
            self.turn_bytes = 0;
            self.has_more = true;
        }
    }

    /// Carries out what was received, as much as one turn takes.
    fn take_turn(&mut self) {
        self.carry_out();
        self.note_activity(Instant::now());
    }

    /// One lock for many commands.
    fn carry_out(&mut self) {
        self.has_more = false;
        let mut carried_out = 0;
        while !self.ending && self.is_free() {
            if carried_out >= COMMANDS_AT_ONCE {
                self.has_more = true;
                return;
            }
            if self.commands.is_empty() {
                self.decode();
            }
            if self.commands.is_empty() {
                return;
            }
            let server = Arc::clone(&self.server);
            let mut state = server.journal.lock();
            (self.now, self.date) = (server.journal.clock().now(), server.journal.clock().date());
            // What this client brings must not come on top of what waits already.
            self.crowded = state.crowded();
            if self.crowded.is_some() {
                self.has_more = true;
                return;
            }
            while let Some(command) = self.commands.pop_front() {
                if let Ok(command) = &command
                    && self.must_ask_for(command)
                {
                    self.commands.push_front(Ok(command.clone()));
                    break;
                }
                carried_out += 1;
                if let Err(error) = command.and_then(|command| self.execute(command, &mut state)) {
                    self.refuse(&error);
                }
                if self.ending {
                    self.commands.clear();
                }
                self.crowded = state.crowded();
                if self.crowded.is_some() || self.inquiry.is_some() {
                    break;
                }
            }
            let is_work = state.is_awaited() || state.is_dirty();
            drop(state);
            if is_work {
                server.journal.kick();
            }
            self.presence.settle();
            if self.crowded.is_some() {
                self.has_more = true;
                return;
            }
        }
    }

    /// Takes commands from the bytes, up to one that may change what the next bytes mean.
    fn decode(&mut self) {
        let gate = Gate {
            stage: self.stage,
            lacks_tls: self.lacks_tls(),
            has_heartbeats: self.terms.heartbeat.is_some(),
            extensions: self.limits.extensions,
        };
        while self.commands.len() < COMMANDS_AT_ONCE {
            let mut is_ready = false;
            let decoded = self.decoder.decode(&mut self.received, &self.limits, |word| {
                is_ready = word == b"RDY";
                gate.check(word)
            });
            let decoded = match decoded {
                // As on nsqd: after `CLS` nobody looks at what it says.
                Err(_) if is_ready && self.stage == Stage::Closing => Ok(Some(Command::Nop)),
                decoded => decoded,
            };
            let Some(decoded) = decoded.transpose() else { return };
            let is_last = match &decoded {
                Ok(command) => matches!(
                    command,
                    Command::Identify(_)
                        | Command::Auth(_)
                        | Command::Subscribe { .. }
                        | Command::Peek { .. }
                        | Command::Replay { .. }
                        | Command::Close
                ),
                Err(_) => true,
            };
            self.commands.push_back(decoded);
            if is_last {
                return;
            }
        }
    }

    /// Answers with an error, and ends the connection if it is fatal.
    pub(super) fn refuse(&mut self, error: &ProtocolError) {
        self.ending |= error.is_fatal();
        self.answers.push(Answer::Error(error.to_string()));
    }

    /// No more commands will come.
    fn end_of_input(&mut self) {
        if let Some(error) = cut_off(&self.received, &self.limits) {
            self.refuse(&error);
        }
        self.ending = true;
    }

    /// Puts the negotiated layers on, each of which is answered with `OK` through itself.
    async fn upgrade(&mut self, transport: Transport, upgrade: Upgrade) -> io::Result<Transport> {
        let mut transport = transport;
        if !self.received.is_empty() {
            // What came in the clear must not be taken for something that came through the new layer.
            let text = "IDENTIFY failed: bytes before the upgrade";
            self.refuse(&ProtocolError::new(ErrorCode::IdentifyFailed, text));
            return Ok(transport);
        }
        let mut client = (*self.client).clone();
        if upgrade.tls
            && let Some(acceptor) = &self.server.tls
        {
            transport = transport.with_tls(acceptor).await?;
            if let Some(session) = transport.tls() {
                client.tls = Some(tls_facts(session));
                self.common_name = tls::client_name(session);
            }
            encode_response(&mut self.unsent, OK);
        }
        if let Some(compressor) = upgrade.compressor {
            let written = async {
                while transport.is_behind(&self.unsent) {
                    transport.exchange(&mut self.unsent, &mut self.received, false).await;
                }
            };
            timeout(GRACE, written).await?;
            transport.compress(compressor);
            client.snappy = compressor == Compressor::Snappy;
            client.deflate = !client.snappy;
            encode_response(&mut self.unsent, OK);
        }
        self.set_client(client);
        self.note_known();
        self.last_read = Instant::now();
        Ok(transport)
    }

    /// More is known of the client.
    pub(super) fn set_client(&mut self, client: ClientInfo) {
        self.client = Arc::new(client);
        self.presence.identified(Arc::clone(&self.client));
    }

    pub(super) fn start_heartbeats(&mut self) {
        self.next_heartbeat = self.terms.heartbeat.map(|interval| Instant::now() + interval);
    }

    /// Keeps account of how long the client takes nothing.
    fn note_progress(&mut self, is_behind: bool, has_written: bool) {
        match is_behind {
            true if has_written || self.behind_since.is_none() => self.behind_since = Some(Instant::now()),
            true => {}
            false => self.behind_since = None,
        }
    }

    /// A stopping router waits a little longer for a client that has just said something.
    fn note_activity(&mut self, now: Instant) {
        let Some(stopping) = &mut self.stopping else { return };
        let holds = self
            .subscription
            .as_ref()
            .is_some_and(|subscription| self.server.journal.lock().in_flight(subscription) > 0);
        stopping.quiet = stopping.listening.min(now + if holds { QUIET } else { QUIET_IDLE });
    }

    /// When the client has been silent for too long.
    fn silence(&self, may_read: bool) -> Option<Instant> {
        self.terms.heartbeat.filter(|_| may_read).map(|interval| self.last_read + 2 * interval)
    }

    /// When the client has taken nothing for too long.
    fn stall(&self) -> Option<Instant> {
        Some(self.behind_since? + self.terms.heartbeat?)
    }

    /// Until when a stopping router waits: for the client's next word, or for it to take its answers.
    fn patience(&self) -> Option<Instant> {
        let stopping = self.stopping.as_ref()?;
        Some(match self.has_more || self.inquiry.is_some() {
            _ if self.ending => stopping.end,
            true => stopping.listening,
            false => stopping.quiet,
        })
    }

    fn next_timer(&self, may_read: bool) -> Option<Instant> {
        let (silence, stall, patience) = (self.silence(may_read), self.stall(), self.patience());
        let lookout = self.lookout.deadline();
        let known = self.must_be_known().filter(|_| !self.ending);
        [self.next_heartbeat, silence, stall, lookout, patience, known].into_iter().flatten().min()
    }

    /// Does what is due. An error ends the connection at once.
    fn tick(&mut self, may_read: bool) -> io::Result<()> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.stall()) || is_due(self.stopping.as_ref().map(|stopping| stopping.end)) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if is_due(self.silence(may_read)) {
            self.is_over = true;
        }
        if is_due(self.must_be_known()) {
            self.turn_away();
        }
        if is_due(self.patience()) {
            // What was promised is answered; then the client is let go, and what it holds is requeued.
            self.ending = true;
        }
        if is_due(self.next_heartbeat) {
            encode_response(&mut self.unsent, HEARTBEAT);
            self.next_heartbeat = self.terms.heartbeat.map(|interval| now + interval);
        }
        if self.lookout.is_due(now) {
            self.woken();
        }
        Ok(())
    }
}

/// Waits for what is under way; forever when nothing is.
async fn pending<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
