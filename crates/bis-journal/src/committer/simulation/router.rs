//! A router without sockets and threads: what connections, committer and background do, one step at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use bis_broker::channel::{Time, Vanishing};
use tokio::sync::Notify;

use super::clock::SimulatedClock;
use super::disk::SimulatedDisk;
use crate::clock::Clock;
use crate::committer::Committer;
use crate::files::damage::Damage;
use crate::files::disk::Disk;
use crate::files::reserve::Reserve;
use crate::files::salt::Salt;
use crate::journal::Journal;
use crate::options::Policy;
use crate::options::SyncMode;
use crate::repeated::Repeated;
use crate::state::delivery::{Peek, PeekPage, Round, Subscription};
use crate::state::topic::{DeliveryOrder, Joining, Process};
use crate::state::{Batch, MessageFacts, State, Ticket, restore};

const SEGMENT_BYTES: u64 = 4096;
const RESERVE_BYTES: u64 = 8192;
/// The same in every run, so that a seed shows a run again.
const SALT: Salt = Salt(*b"a simulated salt");
const POLICY: Policy =
    Policy { sync: SyncMode::Always, retention: Duration::from_secs(3600), retention_bytes: 8192 };

pub(super) struct Router {
    committer: Committer,
    pub(super) clock: Arc<SimulatedClock>,
    subscription: Option<Subscription>,
    pub(super) damage: Vec<Damage>,
}

impl Router {
    pub(super) fn start(disk: &SimulatedDisk) -> io::Result<Self> {
        Self::start_with(disk, SEGMENT_BYTES)
    }

    /// Like [`Router::start`], with segments of this many bytes.
    pub(super) fn start_with(disk: &SimulatedDisk, segment_bytes: u64) -> io::Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let clock = Arc::new(SimulatedClock::new());
        let restored = restore::restore(&disk, segment_bytes, clock.date(), SALT)?;
        let damage = restored.damage;
        let journal = Arc::new(Journal::new(restored.state, Arc::clone(&clock) as Arc<dyn Clock>));
        let (last_sync, last_retention, last_room) = (Instant::now(), Instant::now(), Instant::now());
        let reserve = Reserve::new(Arc::clone(&disk), RESERVE_BYTES);
        let quiet = Repeated::default;
        let (writer, policy) = (restored.writer, POLICY);
        let checkpoint_due = restored.checkpoint_due;
        let mut committer = Committer {
            journal,
            writer,
            reserve,
            disk,
            policy,
            last_sync,
            last_commit_took: Duration::MAX,
            last_retention,
            last_room,
            last_place: last_room,
            failed_commits: quiet(),
            failed_checkpoints: quiet(),
            lack_of_room: quiet(),
            checkpoint_due,
        };
        committer.keep_reserve();
        Ok(Self { committer, clock, subscription: None, damage })
    }

    pub(super) fn stop(mut self) -> io::Result<()> {
        self.committer.stop()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.committer.journal.lock()
    }

    /// Commits what there is; returns whether it succeeded.
    pub(super) fn flush(&mut self) -> bool {
        let Some(batch) = self.state().take_batch() else { return true };
        self.commit(batch)
    }

    /// Commits a batch; returns whether it succeeded.
    pub(super) fn commit(&mut self, batch: Batch) -> bool {
        let ticket = batch.ticket.clone();
        self.committer.commit(batch);
        self.committer.journal.progress.borrow().outcome(&ticket).unwrap().is_ok()
    }

    /// Takes a message for the next commit; the ticket with which it is decided.
    pub(super) fn take_for(&mut self, body: &str) -> Ticket {
        let now = self.clock.now();
        let published = self.state().publish("orders", [body.as_bytes()], &MessageFacts::default(), now);
        published.unwrap().place.ticket().clone()
    }

    /// Publishes as a handler does, so that another message can be settled; whether it is answered.
    pub(super) fn publish_from_handler(&mut self, body: &str) -> bool {
        let (now, facts) =
            (self.clock.now(), MessageFacts { is_from_handler: true, ..MessageFacts::default() });
        self.state().publish("shipped", [body.as_bytes()], &facts, now).is_ok() && self.flush()
    }

    /// What the committer does from time to time on a full disk.
    pub(super) fn look_for_room(&mut self) {
        if self.committer.is_out_of_room() {
            self.committer.look_for_room();
        }
    }

    /// Whether a client that asks now is told that the ticket's messages are stored.
    pub(super) async fn is_stored(&self, ticket: Ticket) -> bool {
        self.committer.journal.decided(ticket).await.is_ok()
    }

    /// Publishes a message that is due after a while; whether it is answered.
    pub(super) fn publish(&mut self, body: &str, delay: Duration) -> bool {
        self.take_delayed(body, delay) && self.flush()
    }

    /// Takes a message for the next commit.
    pub(super) fn take(&mut self, body: &str) {
        assert!(self.take_delayed(body, Duration::ZERO));
    }

    fn take_delayed(&mut self, body: &str, delay: Duration) -> bool {
        self.look_for_room();
        let now = self.clock.now();
        let due = if delay.is_zero() { Time::ZERO } else { now.plus(delay) };
        let facts = MessageFacts { due, ..MessageFacts::default() };
        self.state().publish("orders", [body.as_bytes()], &facts, now).is_ok()
    }

    /// How many messages wait in the channel.
    pub(super) fn depth(&self) -> u64 {
        let mut state = self.state();
        let topic = state.number_of("orders").unwrap();
        state.channel(topic, "ship").unwrap().machine.depth()
    }

    /// Takes three messages at once from now on; whether that is answered.
    pub(super) fn subscribe(&mut self) -> bool {
        let wake = Arc::new(Notify::new());
        let minute = Duration::from_secs(60);
        let joining = Joining {
            order: DeliveryOrder::Any,
            process: Process::default(),
            wake,
            timeout: minute,
            sample_rate: 0,
            sample_seed: 0,
            vanishing: Vanishing::Suspects(None),
        };
        let subscription = self.state().subscribe("orders", "ship", joining);
        self.state().set_ready(&subscription, 3);
        self.subscription = Some(subscription);
        self.flush()
    }

    /// Hands out what the consumer is ready for: sequence and body.
    pub(super) fn receive(&mut self) -> Vec<(u64, String)> {
        let Some(subscription) = self.subscription.clone() else { return Vec::new() };
        let mut received = Vec::new();
        while let Round::Missing(missing) = self.deliver(&subscription, &mut received) {
            let fetched = missing.read().unwrap();
            self.state().supply(fetched);
        }
        received
    }

    fn deliver(&self, subscription: &Subscription, received: &mut Vec<(u64, String)>) -> Round {
        let now = self.clock.now();
        let round = self.state().deliver(subscription, now, |handed| {
            received.push((handed.handout.sequence, String::from_utf8(handed.body.to_vec()).unwrap()));
        });
        assert!(!matches!(round, Round::Gone));
        round
    }

    /// Finishes a message; whether it still was the consumer's.
    pub(super) fn finish(&mut self, sequence: u64) -> bool {
        let Some(subscription) = self.subscription.clone() else { return false };
        self.state().finish(&subscription, sequence).is_ok()
    }

    /// Gives a message back, to come again after a while.
    pub(super) fn requeue(&mut self, sequence: u64, wait: Duration) {
        let (subscription, now) = (self.subscription.clone().unwrap(), self.clock.now());
        self.state().requeue(&subscription, sequence, wait, now).unwrap();
    }

    /// Copies what pins old segments, and removes what may go.
    pub(super) fn give_space_back(&mut self) -> bool {
        let segments = {
            let mut state = self.state();
            state.forget_handled_copies();
            state.pinned_segments(self.clock.date(), &POLICY)
        };
        for segment in segments {
            let pinned = self.state().pinned(segment);
            let records = pinned.and_then(|pinned| pinned.read().unwrap());
            if let Some(records) = records
                && self.state().move_records(&records).is_ok()
                && !self.flush()
            {
                return false;
            }
        }
        self.committer.expire();
        true
    }

    /// How many messages live on as copies.
    pub(super) fn moved(&self) -> usize {
        self.state().log.moved().len()
    }

    /// The unfinished messages' bodies, each with how often it is there.
    pub(super) fn unfinished(&self) -> BTreeMap<String, usize> {
        let now = self.clock.now();
        let mut state = self.state();
        let mut found = BTreeMap::new();
        let Some(topic) = state.number_of("orders") else { return found };
        let mut page = PeekPage::new(None, 100_000);
        while let Some(Peek::Missing(missing)) = state.peek(topic, "ship", &mut page, now) {
            let fetched = missing.read().unwrap();
            state.log.supply(fetched);
        }
        for message in page.messages {
            *found.entry(String::from_utf8(message.body).unwrap()).or_default() += 1;
        }
        found
    }
}
