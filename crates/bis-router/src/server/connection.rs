//! One NSQ client: bytes in, commands carried out in order, answers and messages out.
//!
//! An answer that promises something waits in line for its commit; messages and heartbeats do not wait in that line.
//! Whatever is ready to be sent is sent at once: the output buffer's timeout, which clients negotiate, is a bound that is
//! kept by never waiting. What a command means is in [`super::commands`].
//!
//! A connection is made of parts, each of which knows nothing of the others: [`Intake`] (what the client sent), [`Outbox`] (what
//! it is sent), [`Session`] (what was agreed on), [`Permission`] (what it may do), [`Subscriber`] (what it consumes). This file
//! decides which of them has its turn.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bis_broker::BoxFuture;
use bis_broker::channel::{Parting, Time};
use bis_journal::{Commit, Progress};
use bis_nsq::{ErrorCode, HEARTBEAT, Limits, MAGIC_V2, OK, ProtocolError, encode_error, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::Answer;
use super::auth::{AuthError, Grant};
use super::client::ClientInfo;
use super::consume::Subscriber;
use super::gate::Stage;
use super::inquiry::Inquiry;
use super::intake::{COMMANDS_AT_ONCE, Intake};
use super::negotiate::{Upgrade, tls_facts};
use super::outbox::Outbox;
use super::permission::Permission;
use super::session::Session;
use super::stopping::{GRACE, Stopping};
use super::transport::{Compressor, End, Exchange, Transport};
use super::{Server, ephemeral, tls, unix_seconds};

/// A client's side of the server.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    remote: SocketAddr,
    pub(super) session: Session,
    pub(super) permission: Permission,
    pub(super) subscriber: Subscriber,
    intake: Intake,
    pub(super) outbox: Outbox,
    pub(super) inquiry: Option<Inquiry>,
    /// What is left to do for the commit of what was published.
    commit: Commit,
    /// No more commands are read; the connection ends when everything is sent.
    ending: bool,
    /// The router stops: nothing is delivered, what the client has sent is still carried out.
    stopping: Option<Stopping>,
    /// When the commands at hand are carried out.
    pub(super) at: Moment,
    next_heartbeat: Option<Instant>,
}

/// One moment, by the journal's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Time,
    /// The date at the same moment.
    pub(super) date: Time,
}

/// Serves one client until it goes, misbehaves, or the router stops.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, remote: SocketAddr) {
    let mut connection = Connection::new(server, remote);
    if let Err(error) = connection.run(stream).await {
        tracing::debug!(%remote, error = error.to_string(), "a client's connection ended");
    }
    if connection.commit != Commit::Done {
        connection.server.journal.kick();
    }
    if let Some(subscription) = connection.subscriber.subscription.take() {
        // A router that stops says nothing about its clients.
        let parting = if connection.stopping.is_some() { Parting::Dismissed } else { Parting::Vanished };
        ephemeral::unsubscribe(&mut connection.server.journal.lock(), &subscription, parting);
        connection.server.journal.kick();
    }
}

impl Connection {
    fn new(server: Arc<Server>, remote: SocketAddr) -> Self {
        let client = Arc::new(ClientInfo {
            client_id: remote.ip().to_string(),
            hostname: remote.ip().to_string(),
            remote_address: remote.to_string(),
            connected: unix_seconds(),
            ..ClientInfo::default()
        });
        let presence = server.clients.enter(Arc::clone(&client));
        let mut connection = Self {
            remote,
            session: Session::new(&server.options, client, presence),
            permission: Permission::new(server.authorizer.clone(), remote),
            subscriber: Subscriber::default(),
            intake: Intake::new(),
            outbox: Outbox::default(),
            inquiry: None,
            commit: Commit::Done,
            ending: false,
            stopping: None,
            at: Moment { now: Time::ZERO, date: Time::ZERO },
            next_heartbeat: None,
            server,
        };
        connection.note_known();
        connection
    }

    /// Whether the client says that it speaks the protocol. A router that stops does not wait for it.
    async fn is_greeted(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        stream.set_nodelay(true)?;
        let mut magic = [0; 4];
        let patience = match self.session.stranger {
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
            encode_error(&mut self.outbox.unsent, "E_BAD_PROTOCOL");
            stream.write_all(&self.outbox.unsent).await?;
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
        self.intake.forgive_silence();
        self.start_heartbeats();
        loop {
            self.send_answers(&progress.borrow_and_update());
            // One that has asked and gone at once is sent nothing.
            if !self.subscriber.started || !self.subscriber.is_fresh || !transport.is_closed() {
                self.subscriber.is_fresh &= !self.subscriber.started;
                self.deliver();
            }
            if self.intake.is_over && self.is_free() && !self.intake.has_more && !self.ending {
                self.end_of_input();
                continue;
            }
            let is_settled = self.outbox.answers.is_empty()
                && self.inquiry.is_none()
                && !transport.is_behind(&self.outbox.unsent);
            if self.ending && is_settled {
                return timeout(GRACE, transport.finish()).await?;
            }
            if is_settled && let Some(upgrade) = self.session.upgrade.take() {
                transport = self.upgrade(transport, upgrade).await?;
                continue;
            }
            self.turn(&mut transport, &mut progress, stopped.as_mut()).await?;
        }
    }

    /// Waits until something can be done, and does it.
    async fn turn(
        &mut self,
        transport: &mut Transport,
        progress: &mut watch::Receiver<Progress>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> io::Result<()> {
        let has_room = !self.ending
            && self.is_free()
            && self.intake.crowded.is_none()
            && self.outbox.has_room_for_answers();
        let may_read = has_room && !self.intake.has_more && !self.intake.is_over;
        let is_behind = transport.is_behind(&self.outbox.unsent);
        self.outbox.note_progress(is_behind, false);
        let timer = self.next_timer(may_read);
        self.intake.make_room();
        let is_stopping = self.stopping.is_some();
        tokio::select! {
            exchange = transport.exchange(&mut self.outbox.unsent, &mut self.intake.received, may_read),
                    if may_read || is_behind => {
                self.take_exchange(exchange, transport);
            }
            // A client that sends without end would be the only one served: there is always something to read then.
            () = yield_now(), if has_room && self.intake.has_more => self.take_turn(),
            // Those who are ready to publish do so first, and one commit is for all.
            () = yield_now(), if self.commit == Commit::Gather => {
                self.commit = self.server.journal.commit_gathered();
            }
            changed = progress.changed(), if !self.outbox.answers.is_empty() || self.intake.crowded.is_some() => {
                changed.map_err(io::Error::other)?;
                if self.commit == Commit::Busy {
                    self.commit = Commit::Gather;
                }
            }
            read = pending(&mut self.subscriber.fetching), if self.subscriber.fetching.is_some() => {
                self.subscriber.take_fetched(read);
            }
            answer = pending(&mut self.inquiry), if self.inquiry.is_some() => {
                self.inquiry = None;
                self.outbox.answers.push(answer);
                self.intake.go_on();
            }
            answer = pending(&mut self.permission.asking), if self.permission.asking.is_some() => {
                self.take_grant(answer);
                self.intake.go_on();
            }
            () = self.subscriber.wake.notified(), if self.subscriber.subscription.is_some() => self.woken(),
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                self.tick(may_read)?;
            }
            () = stopped, if !is_stopping => {
                let now = Instant::now();
                self.stopping = Some(Stopping::new(now));
                self.next_heartbeat = None;
                self.note_activity(now);
            }
        }
        Ok(())
    }

    /// Bytes were sent, or received, or there will be no more.
    fn take_exchange(&mut self, exchange: Exchange, transport: &Transport) {
        if exchange.written {
            self.outbox.note_progress(transport.is_behind(&self.outbox.unsent), true);
        }
        self.outbox.is_cut |= transport.is_cut();
        if let Some(end) = exchange.end {
            self.intake.is_over = true;
            if let End::Broken(error) = end {
                tracing::debug!(remote = %self.remote, error = error.to_string(), "a client's bytes end here");
            }
        }
        if exchange.read == 0 {
            return;
        }
        self.intake.forgive_silence();
        let counted = self.session.stranger.as_mut().map_or(Ok(()), |stranger| stranger.count(exchange.read));
        if let Err(error) = counted {
            self.refuse(&error);
        }
        self.take_turn();
        self.intake.end_turn(exchange.read);
    }

    /// Moves the answers that can go to the bytes to send.
    fn send_answers(&mut self, progress: &Progress) {
        self.intake.take_progress(progress);
        let sent = self.outbox.send_answers(progress);
        if self.outbox.answers.is_empty() {
            // Somebody else has committed it.
            self.commit = Commit::Done;
        }
        if sent.is_subscribed {
            self.subscriber.start();
        }
        self.ending |= sent.is_failed;
    }

    /// Hands out messages, if there is a reason to look for some and room for them.
    fn deliver(&mut self) {
        let may_deliver = self.subscriber.may_look()
            && self.session.stage == Stage::Subscribed
            && !self.ending
            && !self.intake.is_over
            && !self.outbox.is_cut
            && self.stopping.is_none()
            && self.outbox.has_room();
        if may_deliver {
            let wants_history = self.session.client.wants_history;
            let unsent = &mut self.outbox.unsent;
            let is_there = self.subscriber.deliver(&self.server.journal, unsent, wants_history);
            self.ending |= !is_there;
        }
    }

    /// There may be messages; if this client cannot take them now, another one may. Or its channel is
    /// gone: then it must go too.
    fn woken(&mut self) {
        self.subscriber.look = true;
        if !self.outbox.has_room() || self.session.stage == Stage::Closing {
            self.ending |= !self.subscriber.pass_on(&self.server.journal);
        }
    }

    /// Whether commands may be carried out: nothing that they must wait for is in progress.
    fn is_free(&self) -> bool {
        self.permission.asking.is_none() && self.inquiry.is_none() && self.session.upgrade.is_none()
    }

    /// Carries out what was received, as much as one turn takes.
    fn take_turn(&mut self) {
        self.carry_out();
        self.note_activity(Instant::now());
    }

    /// One lock for many commands.
    fn carry_out(&mut self) {
        self.intake.has_more = false;
        let mut carried_out = 0;
        while !self.ending && self.is_free() {
            if carried_out >= COMMANDS_AT_ONCE {
                self.intake.has_more = true;
                return;
            }
            let gate = self.session.gate(&self.server.options);
            if !self.intake.has_command(gate, &self.session.limits) {
                return;
            }
            carried_out += self.carry_out_batch();
            if self.intake.crowded.is_some() {
                self.intake.has_more = true;
                return;
            }
        }
    }

    /// Carries out the commands at hand, unless too much waits for the next commit; how many.
    fn carry_out_batch(&mut self) -> usize {
        let server = Arc::clone(&self.server);
        let mut state = server.journal.lock();
        let clock = server.journal.clock();
        self.at = Moment { now: clock.now(), date: clock.date() };
        // What this client brings must not come on top of what waits already.
        self.intake.crowded = state.crowded();
        if self.intake.crowded.is_some() {
            return 0;
        }
        let (mut carried_out, others) = (0, state.uncommitted());
        while let Some(command) = self.intake.next() {
            if let Ok(command) = &command
                && self.permission.must_ask_for(command)
            {
                self.intake.put_back(command.clone());
                break;
            }
            carried_out += 1;
            if let Err(error) = command.and_then(|command| self.execute(command, &mut state)) {
                self.refuse(&error);
            }
            if self.ending {
                self.intake.drop_commands();
            }
            self.intake.crowded = state.crowded();
            if self.intake.crowded.is_some() || self.inquiry.is_some() {
                break;
            }
        }
        let (uncommitted, is_flush_due) = (state.uncommitted(), state.take_flush());
        drop(state);
        // Others commit what they wait for themselves.
        if uncommitted > others {
            self.commit = server.journal.commit(self.session.presence.number(), uncommitted);
        } else if is_flush_due {
            server.journal.kick();
        }
        self.session.presence.settle();
        carried_out
    }

    /// Answers with an error, and ends the connection if it is fatal.
    fn refuse(&mut self, error: &ProtocolError) {
        self.ending |= error.is_fatal();
        self.outbox.answers.push(Answer::Error(error.to_string()));
    }

    /// No more commands will come.
    fn end_of_input(&mut self) {
        if let Some(error) = self.intake.cut_off(&self.session.limits) {
            self.refuse(&error);
        }
        self.ending = true;
    }

    /// Goes on with what the authorization servers said.
    fn take_grant(&mut self, answer: Result<Grant, AuthError>) {
        match self.permission.take(answer) {
            Ok(granted) => {
                if let Some(granted) = granted {
                    self.outbox.answers.push(Answer::Now(granted.reply));
                    let client = (*self.session.client).clone();
                    self.session.set_client(ClientInfo { identity: Some(granted.identity), ..client });
                }
                self.note_known();
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// Puts the negotiated layers on, each of which is answered with `OK` through itself.
    async fn upgrade(&mut self, transport: Transport, upgrade: Upgrade) -> io::Result<Transport> {
        let mut transport = transport;
        if !self.intake.received.is_empty() {
            // What came in the clear must not be taken for something that came through the new layer.
            let text = "IDENTIFY failed: bytes before the upgrade";
            self.refuse(&ProtocolError::new(ErrorCode::IdentifyFailed, text));
            return Ok(transport);
        }
        let unsent = &mut self.outbox.unsent;
        let mut client = (*self.session.client).clone();
        if upgrade.tls
            && let Some(acceptor) = &self.server.tls
        {
            transport = transport.with_tls(acceptor).await?;
            if let Some(session) = transport.tls() {
                client.tls = Some(tls_facts(session));
                self.permission.note_tls(tls::client_name(session));
            }
            encode_response(unsent, OK);
        }
        if let Some(compressor) = upgrade.compressor {
            let written = async {
                while transport.is_behind(unsent) {
                    transport.exchange(unsent, &mut self.intake.received, false).await;
                }
            };
            timeout(GRACE, written).await?;
            transport.compress(compressor);
            client.snappy = compressor == Compressor::Snappy;
            client.deflate = !client.snappy;
            encode_response(unsent, OK);
        }
        self.session.set_client(client);
        self.note_known();
        self.intake.forgive_silence();
        Ok(transport)
    }

    /// The client has just connected, or has just done something to identify itself.
    fn note_known(&mut self) {
        self.session.note_known(&self.server.options, self.permission.lacks_grant());
    }

    pub(super) fn start_heartbeats(&mut self) {
        let interval = self.session.terms.heartbeat;
        self.next_heartbeat = interval.map(|interval| Instant::now() + interval);
    }

    /// A stopping router waits a little longer for a client that has just said something.
    fn note_activity(&mut self, now: Instant) {
        if let Some(stopping) = &mut self.stopping {
            stopping.note_activity(now, self.subscriber.holds_messages(&self.server.journal));
        }
    }

    /// When the client has been silent for too long.
    fn silence(&self, may_read: bool) -> Option<Instant> {
        self.intake.silence(self.session.terms.heartbeat.filter(|_| may_read))
    }

    /// When the client has taken nothing for too long.
    fn stall(&self) -> Option<Instant> {
        self.outbox.stall(self.session.terms.heartbeat)
    }

    /// When the client must be known; `None` once it is.
    fn must_be_known(&self) -> Option<Instant> {
        self.session.stranger.map(|stranger| stranger.until)
    }

    /// Until when a stopping router waits: for the client's next word, or for it to take its answers.
    fn patience(&self) -> Option<Instant> {
        let stopping = self.stopping.as_ref()?;
        Some(match self.intake.has_more || self.inquiry.is_some() {
            _ if self.ending => stopping.end,
            true => stopping.listening,
            false => stopping.quiet,
        })
    }

    fn next_timer(&self, may_read: bool) -> Option<Instant> {
        let (silence, stall, patience) = (self.silence(may_read), self.stall(), self.patience());
        let lookout = self.subscriber.deadline();
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
            self.intake.is_over = true;
        }
        if is_due(self.must_be_known()) {
            let error = self.session.turn_away(&self.server.options);
            self.refuse(&error);
        }
        if is_due(self.patience()) {
            // What was promised is answered; then the client is let go, and what it holds is requeued.
            self.ending = true;
        }
        if is_due(self.next_heartbeat) {
            encode_response(&mut self.outbox.unsent, HEARTBEAT);
            self.next_heartbeat = self.session.terms.heartbeat.map(|interval| now + interval);
        }
        if self.subscriber.is_due(now) {
            self.woken();
        }
        Ok(())
    }
}

/// Waits for what is in progress; forever when nothing is.
async fn pending<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
