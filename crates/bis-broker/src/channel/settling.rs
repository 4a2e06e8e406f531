//! What happens to a delivery: finished, retried, released, extended, run out, or left behind by a consumer that is gone.

use std::time::Duration;

use super::held::{Held, State, Wait};
use super::{
    Channel, ConsumerId, FinishIdleError, Lease, NotInFlight, Parting, ProcessId, Recalled, Time, Vanishing,
};

impl Channel {
    /// The consumer is done with the message; it never comes again.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn finish(&mut self, sequence: u64, consumer: ConsumerId) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.remove(sequence);
        Ok(())
    }

    /// Finishes a message that no consumer has: a dead letter that was read by peeking, for one.
    ///
    /// # Errors
    /// When there is no such unfinished message, or it is in flight.
    pub fn finish_idle(&mut self, sequence: u64) -> Result<(), FinishIdleError> {
        if sequence >= self.end || self.is_finished(sequence) {
            return Err(FinishIdleError::NotFound(sequence));
        }
        if self.lease(sequence).is_some() {
            return Err(FinishIdleError::InFlight(sequence));
        }
        self.remove(sequence);
        Ok(())
    }

    /// The consumer gives the message back, to be delivered again at `due` (at once when that is not after `now`). It
    /// answered, so that the message is not (or no longer) a suspect.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn retry(
        &mut self,
        sequence: u64,
        consumer: ConsumerId,
        due: Time,
        now: Time,
    ) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.counters.requeued += 1;
        self.land(sequence).clear();
        self.come_again(sequence, due, now);
        Ok(())
    }

    /// The consumer never started on the message: it is ready again, the delivery is not counted, and what was a suspect
    /// still is one.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn release(&mut self, sequence: u64, consumer: ConsumerId) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.land(sequence).attempts -= 1;
        self.make_ready(sequence);
        Ok(())
    }

    /// The consumer answered, but for a reason that says nothing about the message: as [`Channel::retry`], and the delivery
    /// is not counted.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn postpone(
        &mut self,
        sequence: u64,
        consumer: ConsumerId,
        due: Time,
        now: Time,
    ) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        let held = self.land(sequence);
        held.attempts -= 1;
        held.clear();
        self.come_again(sequence, due, now);
        Ok(())
    }

    /// Extends the lease of a message in flight to `until`.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn touch(&mut self, sequence: u64, consumer: ConsumerId, until: Time) -> Result<(), NotInFlight> {
        self.held_by(sequence, consumer)?;
        let held = self.held.get_mut(&sequence).expect("a message in flight is held");
        if let State::InFlight { until: ends, place, .. } = &mut held.state {
            self.leases.end(*place, *ends, sequence);
            *place = self.leases.begin(until, sequence);
            *ends = until;
        }
        Ok(())
    }

    /// Every lease ends this much later, and counts as begun this much later: time passed in which nobody could work.
    pub fn prolong_leases(&mut self, by: Duration) {
        let running: Vec<u64> = self.leases.sequences().collect();
        for sequence in running {
            let held = self.held.get_mut(&sequence).expect("a message in flight is held");
            if let State::InFlight { until, delivered, place, .. } = &mut held.state {
                self.leases.end(*place, *until, sequence);
                (*until, *delivered) = (until.plus(by), delivered.plus(by));
                *place = self.leases.begin(*until, sequence);
            }
        }
    }

    /// The consumer is gone: everything that it held is ready again at once, uncounted when it was dismissed. Returns what came
    /// back, as it is to be remembered.
    pub fn disconnect(&mut self, consumer: ConsumerId, parting: Parting) -> Vec<Recalled> {
        if !self.in_flight_by.contains_key(&consumer) {
            return Vec::new();
        }
        let is_its = |sequence: &u64| self.lease(*sequence).is_some_and(|lease| lease.consumer == consumer);
        let mut back: Vec<u64> = self.leases.sequences().filter(is_its).collect();
        back.sort_unstable();
        self.counters.requeued += back.len() as u64;
        back.into_iter().map(|sequence| self.vanished(sequence, parting)).collect()
    }

    /// This process lives, although consumers of it vanished: what it had is not suspected any more, and what was counted for
    /// it is taken back. Returns what that was, as it is to be remembered.
    pub fn acquit(&mut self, process: ProcessId) -> Vec<Recalled> {
        let waiting = self.suspects.iter().copied();
        let accused = waiting.chain(self.suspects_out.keys().copied());
        let accused: Vec<u64> = accused
            .filter(|sequence| {
                let held = self.held.get(sequence);
                held.is_some_and(|held| held.suspect && held.accuser == Some(process))
            })
            .collect();
        for sequence in &accused {
            let held = self.held.get_mut(sequence).expect("only held messages are accused");
            held.acquit();
            match held.state {
                State::InFlight { .. } => {
                    self.suspects_out.remove(sequence);
                }
                State::Ready => self.ready.push_back(*sequence),
                State::Deferred { .. } => {}
            }
        }
        self.suspects.retain(|sequence| self.held.get(sequence).is_some_and(|held| held.suspect));
        accused.into_iter().map(|sequence| self.held[&sequence].recalled(sequence)).collect()
    }

    /// Takes back what has run out of its lease and makes ready what is due. Returns what ran out, as it is to be remembered.
    pub fn tick(&mut self, now: Time) -> Vec<Recalled> {
        self.now = now;
        let mut expired = Vec::new();
        while let Some((until, sequence)) = self.leases.first() {
            if until > now {
                break;
            }
            let back = self.vanished(sequence, Parting::Vanished);
            // That its process lives does not excuse it.
            self.held.get_mut(&sequence).expect("what came back is held").accuser = None;
            expired.push(back);
        }
        self.counters.expired += expired.len() as u64;
        while let Some(&(due, sequence)) = self.deferred.first() {
            if due > now {
                break;
            }
            self.deferred.pop_first();
            self.let_go(sequence);
        }
        expired
    }

    /// When [`Channel::tick`] has something to do next, or [`Channel::next`] finds more to hand out.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let lease = self.leases.first().map(|(until, _)| until);
        let deferred = self.deferred.first().map(|(due, _)| *due);
        lease.into_iter().chain(deferred).chain(self.far.next_after(self.now)).min()
    }

    fn held_by(&self, sequence: u64, consumer: ConsumerId) -> Result<Lease, NotInFlight> {
        self.lease(sequence).filter(|lease| lease.consumer == consumer).ok_or(NotInFlight { sequence })
    }

    /// Its consumer vanished: it is ready again, as a suspect perhaps.
    fn vanished(&mut self, sequence: u64, parting: Parting) -> Recalled {
        let held = self.land(sequence);
        if let State::InFlight { vanishing, .. } = held.state {
            match (parting, vanishing) {
                (Parting::Dismissed, _) => held.attempts -= 1,
                (Parting::Vanished, Vanishing::Suspects(process)) => held.suspect(process),
                (Parting::Vanished, Vanishing::Counts) => {}
            }
        }
        self.make_ready(sequence);
        self.held[&sequence].recalled(sequence)
    }

    fn come_again(&mut self, sequence: u64, due: Time, now: Time) {
        if due > now {
            self.defer(sequence, due, Wait::Again);
        } else {
            self.make_ready(sequence);
        }
    }

    /// Takes a message out of flight; the caller places it next.
    fn land(&mut self, sequence: u64) -> &mut Held {
        let held = self.held.get(&sequence).copied().expect("only messages in flight land");
        self.end_lease(sequence, &held);
        self.held.get_mut(&sequence).expect("only messages in flight land")
    }

    fn end_lease(&mut self, sequence: u64, held: &Held) {
        let State::InFlight { consumer, until, place, .. } = held.state else { return };
        self.leases.end(place, until, sequence);
        if held.suspect {
            self.suspects_out.remove(&sequence);
        }
        if let Some(count) = self.in_flight_by.get_mut(&consumer) {
            *count -= 1;
            if *count == 0 {
                self.in_flight_by.remove(&consumer);
            }
        }
    }

    /// Marks a message finished, wherever it is, and lets the next of its key go.
    pub(super) fn remove(&mut self, sequence: u64) {
        self.counters.finished += 1;
        if sequence == self.floor {
            self.take_out(sequence);
            self.raise_floor(sequence + 1);
        } else {
            self.finished.insert(sequence);
            self.take_out(sequence);
        }
    }

    /// Takes an unfinished message out of whatever it is in.
    pub(super) fn take_out(&mut self, sequence: u64) {
        if !self.recalled.is_empty() {
            self.recalled.remove(&sequence);
        }
        if let Some(held) = self.held.remove(&sequence) {
            match held.state {
                State::InFlight { .. } => self.end_lease(sequence, &held),
                State::Deferred { due, .. } => {
                    self.deferred.remove(&(due, sequence));
                }
                // The queue's entry is passed over when it comes to the front.
                State::Ready => {}
            }
            if !self.ahead.is_empty() {
                self.ahead.remove(sequence);
            }
            if let (Some(key), true) = (held.key, held.leads) {
                self.leave_key(key);
            }
        } else if !self.far.remove(sequence) && sequence < self.cursor {
            self.keys.finished_one();
        }
    }

    /// The message that leads a key is gone: the next one leads.
    fn leave_key(&mut self, key: u64) {
        let (floor, finished) = (self.floor, &self.finished);
        let is_finished = |sequence| sequence < floor || finished.contains(sequence);
        let Some(next) = self.keys.leave(key, is_finished) else { return };
        let recalled = self.recalled.remove(&next);
        self.held.insert(next, Held::ready(Some(key), true, recalled.as_ref()));
        match recalled.map(|recalled| recalled.due).filter(|due| *due > Time::ZERO) {
            // The next tick lets it go, when its time has come.
            Some(due) => self.defer(next, due, Wait::Again),
            None => self.make_ready(next),
        }
    }
}
