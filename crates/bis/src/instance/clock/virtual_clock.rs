//! Virtual time: a number that jumps to the next deadline when everything that runs waits for time itself. It moves only
//! when it is told to, and never backwards.

use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use super::Purpose;

/// A clock that a test drives.
#[derive(Debug)]
pub(crate) struct VirtualClock {
    /// The date at time zero.
    start: Mutex<SystemTime>,
    patience: Duration,
    state: Mutex<State>,
    /// Rung when a reason to move time may have come up.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Since `start`.
    now: Duration,
    next_id: u64,
    timers: BTreeMap<(Duration, u64), Timer>,
    activities: HashMap<u64, Running>,
    settling: usize,
    /// How far time is to move in any case, while a test lets it pass.
    horizon: Option<Duration>,
    /// Counts whatever happened, so that standing still can be told from working.
    progress: u64,
    /// When time last moved although something had yet to finish that waits for something other than time.
    forced: Option<Duration>,
}

#[derive(Debug)]
struct Timer {
    purpose: Purpose,
    waker: Waker,
}

/// Something that runs.
#[derive(Debug)]
struct Running {
    what: String,
    /// How many waits of its own it is in.
    waits: usize,
}

/// The result of an attempt to move time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Time jumped and woke somebody.
    Jumped,
    /// Nothing runs and nothing is due later.
    Quiet,
    /// Nobody wants time to move.
    Unwanted,
    /// What runs waits for something other than time.
    Stalled,
}

/// What consumers have yet to do.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// The subscriptions with a consumer and unfinished events, as `topic/subscription`.
    pub(crate) unfinished: Vec<String>,
    /// Whether a consumer with room has yet to look at what arrived for it.
    pub(crate) arriving: bool,
}

impl VirtualClock {
    /// A clock at `start`. What runs may do nothing, and wait for something other than time, for `patience` of real time.
    pub(crate) fn new(start: SystemTime, patience: Duration) -> Self {
        Self { start: Mutex::new(start), patience, state: Mutex::default(), wanted: Notify::new() }
    }

    pub(crate) fn now(&self) -> SystemTime {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) + self.state().now
    }

    /// What has passed since time zero.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().now
    }

    /// Somebody sets the date, so that it was this at time zero; nothing passes.
    #[cfg(test)]
    pub(crate) fn set_start(&self, start: SystemTime) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    pub(crate) fn sleep(clock: &Arc<Self>, duration: Duration, purpose: Purpose) -> VirtualSleep {
        VirtualSleep { clock: clock.clone(), purpose, duration, key: None }
    }

    pub(crate) fn begin(clock: &Arc<Self>, what: String) -> Activity {
        let mut state = clock.state();
        let id = state.new_id();
        state.activities.insert(id, Running { what, waits: 0 });
        state.progress += 1;
        Activity { clock: clock.clone(), id }
    }

    /// How long, of real time, time waits for what does nothing and waits for something else.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether time moved to the present because patience with what runs was over, and not because everything waited for
    /// it.
    pub(crate) fn was_forced(&self) -> bool {
        let state = self.state();
        state.forced == Some(state.now)
    }

    /// Lets time move for events until the guard is dropped.
    pub(crate) fn settle(clock: &Arc<Self>) -> Settling {
        clock.state().settling += 1;
        clock.wanted.notify_one();
        Settling { clock: clock.clone() }
    }

    /// Lets time move by `duration`, and no further, until the guard is dropped.
    pub(crate) fn advance(clock: &Arc<Self>, duration: Duration) -> Advancing {
        let mut state = clock.state();
        state.horizon = Some(state.now.saturating_add(duration));
        drop(state);
        clock.wanted.notify_one();
        Advancing { clock: clock.clone() }
    }

    /// Waits until somebody may want time to move.
    pub(crate) async fn wanted(&self) {
        if !self.state().is_wanted() {
            self.wanted.notified().await;
        }
    }

    /// How much has happened.
    pub(crate) fn progress(&self) -> u64 {
        self.state().progress
    }

    /// What runs now.
    pub(crate) fn running(&self) -> Vec<String> {
        let mut running: Vec<String> =
            self.state().activities.values().map(|running| running.what.clone()).collect();
        running.sort_unstable();
        running
    }

    /// Moves time to the next deadline, if everybody waits for it. To be called when nothing is ready to run, with what the
    /// broker has yet to do.
    ///
    /// What hangs on something other than time holds time up until `patience` is over. A wait that belongs to no run, such
    /// as the test's own, moves time all the same, but never past the limit on something that runs.
    pub(crate) fn step(&self, events: &Outstanding, patience: Patience) -> Step {
        let mut state = self.state();
        if !state.is_wanted() {
            return Step::Unwanted;
        }
        if let Some(horizon) = state.horizon {
            return Self::step_towards(horizon, state, events, patience);
        }
        if state.is_quiet(events) {
            return Step::Quiet;
        }
        let Some((&(deadline, _), next)) = state.timers.first_key_value() else {
            return Step::Stalled;
        };
        let stalled = events.arriving || state.activities.values().any(|running| running.waits == 0);
        let may_pass = state.has(|purpose| purpose == Purpose::Wait(None)) && next.purpose != Purpose::Guard;
        if stalled && !may_pass {
            if patience == Patience::Left {
                return Step::Stalled;
            }
            state.forced = Some(deadline);
        }
        let woken = state.advance(deadline);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Step::Jumped
    }

    /// Moves time to the next deadline, but never past the horizon. Once nothing is left to do there, it is quiet.
    fn step_towards(
        horizon: Duration,
        mut state: MutexGuard<'_, State>,
        events: &Outstanding,
        patience: Patience,
    ) -> Step {
        let stalled = events.arriving || state.activities.values().any(|running| running.waits == 0);
        if stalled && patience == Patience::Left {
            return Step::Stalled;
        }
        let next = state.timers.first_key_value().map(|((deadline, _), _)| *deadline);
        let Some(deadline) = next.filter(|deadline| *deadline <= horizon) else {
            state.now = state.now.max(horizon);
            return Step::Quiet;
        };
        if stalled {
            state.forced = Some(deadline);
        }
        let woken = state.advance(deadline);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Step::Jumped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what hangs on something other than time may hold time up any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Left,
    Over,
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn has(&self, matches: impl Fn(Purpose) -> bool) -> bool {
        self.timers.values().any(|timer| matches(timer.purpose))
    }

    /// Whether somebody settles, and nothing is left to do.
    fn is_quiet(&self, events: &Outstanding) -> bool {
        let idle = self.activities.is_empty() && events.unfinished.is_empty();
        self.settling > 0 && idle && !self.has(|purpose| purpose == Purpose::Event)
    }

    fn is_wanted(&self) -> bool {
        self.settling > 0 || self.horizon.is_some() || self.has(|purpose| matches!(purpose, Purpose::Wait(_)))
    }

    /// Moves to `deadline` and takes out what is due.
    fn advance(&mut self, deadline: Duration) -> Vec<Waker> {
        self.now = self.now.max(deadline);
        self.progress += 1;
        let mut woken = Vec::new();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let Timer { purpose, waker } = entry.remove();
            self.count_wait(purpose, -1);
            woken.push(waker);
        }
        woken
    }

    fn count_wait(&mut self, purpose: Purpose, change: isize) {
        if let Purpose::Wait(Some(owner)) = purpose
            && let Some(running) = self.activities.get_mut(&owner)
        {
            running.waits = running.waits.saturating_add_signed(change);
        }
    }
}

/// Something that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Arc<VirtualClock>,
    id: u64,
}

impl Activity {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Counts each step of `future`, which is what runs, as progress.
    pub(crate) async fn follow<F: Future>(activity: Option<&Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Some(activity) = activity {
                activity.clock.state().progress += 1;
            }
            future.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        state.activities.remove(&self.id);
        state.progress += 1;
    }
}

/// A test that settles, until this is dropped.
#[derive(Debug)]
pub(crate) struct Settling {
    clock: Arc<VirtualClock>,
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.clock.state().settling -= 1;
    }
}

/// A test that lets time pass, until this is dropped.
#[derive(Debug)]
pub(crate) struct Advancing {
    clock: Arc<VirtualClock>,
}

impl Drop for Advancing {
    fn drop(&mut self) {
        self.clock.state().horizon = None;
    }
}

/// A wait on virtual time.
#[derive(Debug)]
pub(crate) struct VirtualSleep {
    clock: Arc<VirtualClock>,
    purpose: Purpose,
    duration: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        let key = match self.key {
            Some(key) => key,
            None => (state.now.saturating_add(self.duration), state.new_id()),
        };
        let is_new = self.key.replace(key).is_none();
        if key.0 <= state.now {
            return Poll::Ready(());
        }
        let timer = Timer { purpose: self.purpose, waker: context.waker().clone() };
        state.timers.insert(key, timer);
        if is_new {
            state.count_wait(self.purpose, 1);
            if matches!(self.purpose, Purpose::Wait(_)) {
                clock.wanted.notify_one();
            }
        }
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.timers.remove(&key).is_some() {
            state.count_wait(self.purpose, -1);
        }
    }
}
