//! What a client has sent: bytes, the commands in them that are not carried out yet, and whether more may come. It carries
//! nothing out.

use std::collections::VecDeque;
use std::time::Duration;

use bis_journal::{Progress, Ticket};
use bis_nsq::{Command, Decoder, Limits, ProtocolError, cut_off};
use bytes::BytesMut;
use tokio::time::Instant;

use super::gate::{Gate, Stage};

/// How many commands are carried out at once. Then other clients have a turn, and the lock. As much is [`READ_BYTES`].
pub(super) const COMMANDS_AT_ONCE: usize = 512;
/// The size of one read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A client's side of a connection.
pub(super) struct Intake {
    pub(super) received: BytesMut,
    decoder: Decoder,
    /// Read and not yet carried out.
    commands: VecDeque<Result<Command, ProtocolError>>,
    /// What was received may hold more commands; others have a turn first.
    pub(super) has_more: bool,
    /// How many bytes were read since others had a turn.
    turn_bytes: usize,
    /// The commit to wait for before more is read: too much waits for it, of all clients together.
    pub(super) crowded: Option<Ticket>,
    /// The client will send no more.
    pub(super) is_over: bool,
    last_read: Instant,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            received: BytesMut::new(),
            decoder: Decoder::default(),
            commands: VecDeque::new(),
            has_more: false,
            turn_bytes: 0,
            crowded: None,
            is_over: false,
            last_read: Instant::now(),
        }
    }

    /// The client's silence until now does not count.
    pub(super) fn forgive_silence(&mut self) {
        self.last_read = Instant::now();
    }

    /// What commands had to wait for is over: they have their turn when there is room for their answers. Meanwhile nothing was
    /// read.
    pub(super) fn go_on(&mut self) {
        self.has_more = true;
        self.forgive_silence();
    }

    /// Room for the next read. A body that is arriving has its room already; twice as much would be wasted.
    pub(super) fn make_room(&mut self) {
        let is_full = self.received.len() == self.received.capacity();
        if is_full || self.received.len() < READ_BYTES {
            self.received.reserve(READ_BYTES);
        }
    }

    /// This many bytes were read, and had their turn. Few commands may have many bytes: then others have a turn.
    pub(super) fn end_turn(&mut self, bytes: usize) {
        self.turn_bytes += bytes;
        if self.turn_bytes >= READ_BYTES {
            self.turn_bytes = 0;
            self.has_more = true;
        }
    }

    /// The commit that was waited for may be decided.
    pub(super) fn take_progress(&mut self, progress: &Progress) {
        self.crowded.take_if(|ticket| progress.outcome(ticket).is_some());
    }

    /// Whether there is a command to carry out; takes more from the bytes when there is none.
    pub(super) fn has_command(&mut self, gate: Gate, limits: &Limits) -> bool {
        if self.commands.is_empty() {
            self.decode(gate, limits);
        }
        !self.commands.is_empty()
    }

    /// The next command, or what is wrong with it.
    pub(super) fn next(&mut self) -> Option<Result<Command, ProtocolError>> {
        self.commands.pop_front()
    }

    /// A command cannot be carried out yet: it becomes the next one again.
    pub(super) fn put_back(&mut self, command: Command) {
        self.commands.push_front(Ok(command));
    }

    /// What was read is no longer carried out.
    pub(super) fn drop_commands(&mut self) {
        self.commands.clear();
    }

    /// Takes commands from the bytes, up to one that may change what the next bytes mean.
    fn decode(&mut self, gate: Gate, limits: &Limits) {
        while self.commands.len() < COMMANDS_AT_ONCE {
            let mut is_ready = false;
            let decoded = self.decoder.decode(&mut self.received, limits, |word| {
                is_ready = word == b"RDY";
                gate.check(word)
            });
            let decoded = match decoded {
                // As on nsqd: after `CLS` its commands are ignored.
                Err(_) if is_ready && gate.stage == Stage::Closing => Ok(Some(Command::Nop)),
                decoded => decoded,
            };
            let Some(decoded) = decoded.transpose() else { return };
            let is_last = decoded.as_ref().map_or(true, may_change_the_next);
            self.commands.push_back(decoded);
            if is_last {
                return;
            }
        }
    }

    /// What is wrong with bytes that are not a whole command, when the client sends no more.
    pub(super) fn cut_off(&self, limits: &Limits) -> Option<ProtocolError> {
        cut_off(&self.received, limits)
    }

    /// When the client has been silent for too long.
    pub(super) fn silence(&self, heartbeat: Option<Duration>) -> Option<Instant> {
        heartbeat.map(|interval| self.last_read + 2 * interval)
    }
}

/// Whether a command may change what the next bytes mean.
fn may_change_the_next(command: &Command) -> bool {
    matches!(
        command,
        Command::Identify(_)
            | Command::Auth(_)
            | Command::Subscribe { .. }
            | Command::Peek { .. }
            | Command::Replay { .. }
            | Command::Close
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Gate =
        Gate { stage: Stage::Fresh, lacks_tls: false, has_heartbeats: true, extensions: false };

    fn words(intake: &mut Intake, gate: Gate) -> Vec<String> {
        let mut words = Vec::new();
        if intake.has_command(gate, &Limits::default()) {
            while let Some(command) = intake.next() {
                words.push(command.map_or_else(|error| error.to_string(), |command| format!("{command:?}")));
            }
        }
        words
    }

    #[test]
    fn commands_are_taken_up_to_one_that_changes_what_follows() {
        let mut intake = Intake::new();
        intake.received.extend_from_slice(b"NOP\nNOP\nSUB a b\nRDY 1\nPUB a\n\0\0");
        assert_eq!(words(&mut intake, OPEN).len(), 3, "whether `RDY` is in place is known after `SUB`");
        let subscribed = Gate { stage: Stage::Subscribed, ..OPEN };
        assert_eq!(words(&mut intake, subscribed), ["Ready(1)"]);
        assert!(words(&mut intake, subscribed).is_empty());
        assert!(intake.cut_off(&Limits::default()).is_some());
    }

    #[test]
    fn nobody_looks_at_what_rdy_says_after_cls() {
        let mut intake = Intake::new();
        intake.received.extend_from_slice(b"RDY x\nFIN x\n");
        let closing = Gate { stage: Stage::Closing, ..OPEN };
        let words = words(&mut intake, closing);
        assert_eq!(words[0], "Nop");
        assert!(words[1].starts_with("E_INVALID"), "{words:?}");
    }

    #[test]
    fn after_many_bytes_others_have_a_turn() {
        let mut intake = Intake::new();
        intake.end_turn(READ_BYTES - 1);
        assert!(!intake.has_more);
        intake.end_turn(1);
        assert!(intake.has_more);
        intake.has_more = false;
        intake.end_turn(READ_BYTES - 1);
        assert!(!intake.has_more);
    }
}
