//! Handing out: what comes next, from where the cursor is, from what came back, and from the lists whose time has
//! come.

use std::collections::VecDeque;

use super::far::Far;
use super::held::{Held, State, Wait};
use super::{Channel, Handout, Origin, Source, Suspects, Taker, Time};

/// How many messages one call looks at, at most, before it says that it is not done.
const STEPS: u32 = 4096;
/// How many messages of far lists one call looks at, at most: this many may become ready for one that goes out.
const FAR_STEPS: u32 = 16;

impl Channel {
    /// Hands the next message to a consumer, in flight until its lease ends; `None` when there is nothing for it now, or when
    /// [`Channel::is_looking`].
    ///
    /// New messages come in the topic's order. Messages that came back take turns with new ones, so that neither a
    /// backlog nor a message that fails again and again keeps the other waiting; suspects have a turn of their own. The facts of what is handed out were
    /// asked for in the same call.
    ///
    /// # Errors
    /// The source's: nothing was handed out, and the same message comes again at the next call.
    pub fn next<S: Source>(
        &mut self,
        source: &mut S,
        taker: Taker,
        now: Time,
    ) -> Result<Option<Handout>, S::Error> {
        self.looking = false;
        if self.paused {
            return Ok(None);
        }
        self.tick(now);
        self.open_far(source, now)?;
        let mut taken = None;
        for origin in self.turns() {
            taken = match origin {
                Origin::New => self.take_new(source, now)?,
                Origin::Suspect if taker.suspects == Suspects::Withheld => None,
                Origin::Ready | Origin::Suspect => self.take_back(source, origin)?,
            };
            if taken.is_some() {
                self.last_from = origin;
                break;
            }
        }
        let Some((sequence, mut held)) = taken else { return Ok(None) };
        let Taker { consumer, until, vanishing, .. } = taker;
        held.attempts = held.attempts.saturating_add(1);
        let place = self.leases.begin(until, sequence);
        held.state = State::InFlight { consumer, delivered: now, until, place, vanishing };
        self.held.insert(sequence, held);
        *self.in_flight_by.entry(consumer).or_default() += 1;
        if held.suspect {
            self.suspects_out.insert(sequence, consumer);
        }
        self.counters.handed_out += 1;
        self.looking = false;
        Ok(Some(Handout {
            sequence,
            attempt: held.attempts,
            suspect: held.suspect,
            crashes: held.crashes,
            generation: self.generations.of(sequence),
        }))
    }

    /// Where to look, in turn.
    fn turns(&self) -> [Origin; 3] {
        use Origin::{New, Ready, Suspect};
        match self.last_from {
            New => [Ready, Suspect, New],
            Ready => [Suspect, New, Ready],
            Suspect => [New, Ready, Suspect],
        }
    }

    /// Releases what is due: a held message that was deferred becomes ready, or is parked.
    pub(super) fn let_go(&mut self, sequence: u64) {
        let held = self.held.get_mut(&sequence).expect("what is deferred is held");
        if let (Some(key), false) = (held.key, held.leads) {
            if !self.keys.lead(key) {
                self.held.remove(&sequence);
                self.keys.park(key, sequence);
                return;
            }
            held.leads = true;
        }
        self.make_ready(sequence);
    }

    pub(super) fn make_ready(&mut self, sequence: u64) {
        let held = self.held.get_mut(&sequence).expect("only held messages become ready");
        held.state = State::Ready;
        if held.suspect { self.suspects.push_back(sequence) } else { self.ready.push_back(sequence) }
    }

    pub(super) fn defer(&mut self, sequence: u64, due: Time, wait: Wait) {
        self.held.get_mut(&sequence).expect("only held messages are deferred").state =
            State::Deferred { due, wait };
        self.deferred.insert((due, sequence));
    }

    /// The message that has been ready again for longest, among the suspects or among the others.
    fn take_back<S: Source>(
        &mut self,
        source: &mut S,
        origin: Origin,
    ) -> Result<Option<(u64, Held)>, S::Error> {
        let suspect = origin == Origin::Suspect;
        while let Some(&sequence) = self.line(suspect).front() {
            let held = self.held.get(&sequence).copied();
            let is_here = |held: &Held| matches!(held.state, State::Ready) && held.suspect == suspect;
            if let Some(held) = held.filter(is_here) {
                if source.facts(sequence)?.is_some() {
                    self.line(suspect).pop_front();
                    return Ok(Some((sequence, held)));
                }
                self.pass_over(sequence);
            }
            self.line(suspect).pop_front();
        }
        Ok(None)
    }

    fn line(&mut self, suspect: bool) -> &mut VecDeque<u64> {
        if suspect { &mut self.suspects } else { &mut self.ready }
    }

    /// Moves the cursor to the next message that can go out now, and past it. What cannot go yet becomes held or listed.
    fn take_new<S: Source>(&mut self, source: &mut S, now: Time) -> Result<Option<(u64, Held)>, S::Error> {
        let mut steps = STEPS;
        while self.cursor < self.end && self.has_room() {
            let sequence = self.cursor;
            if let Some(end) = self.finished.end_of(sequence) {
                self.cursor = end;
                continue;
            }
            if self.ahead.remove(sequence) || self.far.contains(sequence) {
                self.cursor += 1;
                continue;
            }
            if steps == 0 {
                self.looking = true;
                break;
            }
            steps -= 1;
            let held = self.look_at(source, sequence, now)?;
            self.cursor = self.cursor.max(sequence + 1);
            match held {
                // Known from before a restart.
                Some(held) if held.suspect => {
                    self.held.insert(sequence, held);
                    self.make_ready(sequence);
                }
                Some(held) => return Ok(Some((sequence, held))),
                None => {}
            }
        }
        Ok(None)
    }

    /// Looks at some messages of the far lists whose time has come.
    fn open_far<S: Source>(&mut self, source: &mut S, now: Time) -> Result<(), S::Error> {
        if self.far.len() == 0 {
            return Ok(());
        }
        for _ in 0..FAR_STEPS {
            if self.held.len() >= self.limits.held {
                return Ok(());
            }
            let Some(sequence) = self.far.first_due(now) else { return Ok(()) };
            let facts = source.facts(sequence)?;
            if sequence >= self.cursor && facts.is_some_and(|facts| facts.key.is_some()) {
                // After a restart: others of its key may come before it, which the cursor knows when it gets there.
                self.far.remove(sequence);
                continue;
            }
            let held = self.look_at(source, sequence, now)?;
            self.far.remove(sequence);
            if sequence >= self.cursor && !self.is_finished(sequence) {
                self.ahead.insert(sequence);
            }
            if let Some(held) = held {
                self.held.insert(sequence, held);
                self.make_ready(sequence);
            }
        }
        self.looking = true;
        Ok(())
    }

    /// Places a message that is looked at for the first time, or again after a restart. One that can go out now is
    /// returned, and is not held yet.
    fn look_at<S: Source>(
        &mut self,
        source: &mut S,
        sequence: u64,
        now: Time,
    ) -> Result<Option<Held>, S::Error> {
        let Some(facts) = source.facts(sequence)? else {
            self.pass_over(sequence);
            return Ok(None);
        };
        let recalled = if self.recalled.is_empty() { None } else { self.recalled.get(&sequence) };
        let due = recalled.map_or(facts.due, |recalled| recalled.due.max(facts.due));
        let mut held = Held::ready(facts.key, false, recalled);
        if held.attempts == 0 && facts.due > now {
            // A delayed publish holds up nobody of its key before its time.
            if Far::is_far(due, now) && recalled.is_none() {
                self.far.add(sequence, due);
            } else {
                self.hold_until(sequence, held, due, Wait::First);
            }
            return Ok(None);
        }
        if let Some(key) = facts.key {
            if !self.keys.lead(key) {
                self.keys.park(key, sequence);
                return Ok(None);
            }
            held.leads = true;
        }
        if due > now {
            self.hold_until(sequence, held, due, Wait::Again);
            return Ok(None);
        }
        if !self.recalled.is_empty() {
            self.recalled.remove(&sequence);
        }
        Ok(Some(held))
    }

    /// The message is not stored any more.
    fn pass_over(&mut self, sequence: u64) {
        self.remove(sequence);
        self.counters.finished -= 1;
        self.counters.gone += 1;
    }

    fn hold_until(&mut self, sequence: u64, held: Held, due: Time, wait: Wait) {
        self.recalled.remove(&sequence);
        self.held.insert(sequence, held);
        self.defer(sequence, due, wait);
    }
}
