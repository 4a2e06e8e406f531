//! What becomes of a delivery: finished, retried, released, extended, run out, or left behind by a consumer that is gone.

use super::held::{Held, State};
use super::{Channel, ConsumerId, FinishIdleError, Lease, NotInFlight, Time};

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

    /// The consumer gives the message back, to be delivered again at `due` (at once when that is not after `now`).
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
        self.land(sequence);
        if due > now {
            self.defer(sequence, due);
        } else {
            self.make_ready(sequence);
        }
        Ok(())
    }

    /// The consumer never started on the message: it is ready again, and the delivery is not counted. Returns the
    /// attempts that remain.
    ///
    /// # Errors
    /// [`NotInFlight`] when this consumer does not hold it (any more).
    pub fn release(&mut self, sequence: u64, consumer: ConsumerId) -> Result<u32, NotInFlight> {
        self.held_by(sequence, consumer)?;
        self.land(sequence);
        let held = self.held.get_mut(&sequence).expect("a message in flight is held");
        held.attempts -= 1;
        let attempts = held.attempts;
        self.make_ready(sequence);
        Ok(attempts)
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

    /// The consumer is gone: everything that it held is ready again at once, counted. Returns how many came back.
    pub fn disconnect(&mut self, consumer: ConsumerId) -> usize {
        if !self.in_flight_by.contains_key(&consumer) {
            return 0;
        }
        let is_its = |sequence: &u64| self.lease(*sequence).is_some_and(|lease| lease.consumer == consumer);
        let mut back: Vec<u64> = self.leases.sequences().filter(is_its).collect();
        back.sort_unstable();
        for &sequence in &back {
            self.land(sequence);
            self.make_ready(sequence);
        }
        self.counters.requeued += back.len() as u64;
        back.len()
    }

    /// Takes back what has run out of its lease and makes ready what is due. Returns how many leases ran out.
    pub fn tick(&mut self, now: Time) -> usize {
        self.now = now;
        let mut expired = 0;
        while let Some((until, sequence)) = self.leases.first() {
            if until > now {
                break;
            }
            self.land(sequence);
            self.make_ready(sequence);
            expired += 1;
        }
        self.counters.expired += expired as u64;
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

    /// Takes a message out of flight; the caller places it next.
    fn land(&mut self, sequence: u64) {
        let held = self.held.get(&sequence).copied().expect("only messages in flight land");
        self.end_lease(sequence, &held);
    }

    fn end_lease(&mut self, sequence: u64, held: &Held) {
        let State::InFlight { consumer, until, place, .. } = held.state else { return };
        self.leases.end(place, until, sequence);
        if let Some(count) = self.in_flight_by.get_mut(&consumer) {
            *count -= 1;
            if *count == 0 {
                self.in_flight_by.remove(&consumer);
            }
        }
    }

    /// Marks a message finished, wherever it stands, and lets the next of its key go.
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

    /// Takes an unfinished message out of whatever it stands in.
    pub(super) fn take_out(&mut self, sequence: u64) {
        if !self.recalled.is_empty() {
            self.recalled.remove(&sequence);
        }
        if let Some(held) = self.held.remove(&sequence) {
            match held.state {
                State::InFlight { .. } => self.end_lease(sequence, &held),
                State::Deferred { due } => {
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
        let attempts = recalled.map_or(0, |recalled| recalled.attempts);
        self.held.insert(next, Held { attempts, key: Some(key), leads: true, state: State::Ready });
        match recalled.map(|recalled| recalled.due).filter(|due| *due > Time::ZERO) {
            // The next tick lets it go, when its time has come.
            Some(due) => self.defer(next, due),
            None => self.make_ready(next),
        }
    }
}
