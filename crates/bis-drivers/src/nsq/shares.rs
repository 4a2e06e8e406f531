//! How many deliveries each of several connections is asked for, when handlers are free for `max` in all. Never more
//! than that in sum: what nobody can start must not be fetched.
//!
//! A connection keeps what it has delivered and adds its share of what is free, so where the events are the share grows
//! by itself. When fewer handlers are free than there are connections, these take turns.

/// How many deliveries in a row one connection may give while others wait for their turn.
const STREAK: usize = 16;

/// One connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) connected: bool,
    /// Deliveries that came and were not handed out yet.
    pub(super) arrived: usize,
    /// How many more it can hold.
    pub(super) room: usize,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    at: usize,
    streak: usize,
}

impl Turn {
    /// The share of each place.
    pub(super) fn shares(&self, places: &[Place], max: usize) -> Vec<usize> {
        let mut shares = vec![0; places.len()];
        let mut free = max;
        let order: Vec<usize> = (0..places.len()).map(|index| (index + self.at) % places.len()).collect();
        for &index in &order {
            shares[index] = places[index].arrived.min(free);
            free -= shares[index];
        }
        let room = |index: usize, shares: &[usize]| places[index].room.saturating_sub(shares[index]);
        let mut open: Vec<usize> = order.iter().copied().filter(|index| places[*index].connected).collect();
        if open.is_empty() {
            // When one connects, the shares are computed again.
            open.extend(order.first());
        }
        loop {
            open.retain(|index| room(*index, &shares) > 0);
            if open.is_empty() || free == 0 {
                return shares;
            }
            let each = (free / open.len()).max(1);
            for &index in &open {
                let more = each.min(room(index, &shares)).min(free);
                shares[index] += more;
                free -= more;
            }
        }
    }

    /// A place gave something.
    pub(super) fn delivered(&mut self, count: usize) {
        self.streak += count;
        if self.streak >= STREAK {
            self.next();
        }
    }

    /// Nothing came for a while, or the turn is over.
    pub(super) fn next(&mut self) {
        self.at = self.at.wrapping_add(1);
        self.streak = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn place(connected: bool, arrived: usize, room: usize) -> Place {
        Place { connected, arrived, room }
    }

    #[track_caller]
    fn check(places: &[Place], max: usize, at: usize, expected: &[usize]) {
        let shares = Turn { at, streak: 0 }.shares(places, max);
        assert_eq!(shares, expected);
        assert!(shares.iter().sum::<usize>() <= max);
    }

    #[test]
    fn what_is_free_is_shared_out() {
        const OPEN: Place = place(true, 0, 2500);
        check(&[OPEN], 7, 0, &[7]);
        check(&[OPEN, OPEN], 10, 0, &[5, 5]);
        check(&[OPEN, OPEN, OPEN], 10, 1, &[3, 4, 3]);
        check(&[OPEN, OPEN], 1, 0, &[1, 0]);
        check(&[OPEN, OPEN], 1, 1, &[0, 1]);
        check(&[OPEN, place(false, 0, 2500)], 10, 0, &[10, 0]);
    }

    #[test]
    fn what_came_already_is_counted_first() {
        check(&[place(true, 0, 2500), place(true, 3, 2500)], 3, 0, &[0, 3]);
        check(&[place(true, 0, 2500), place(true, 3, 2500)], 5, 0, &[1, 4]);
        check(&[place(true, 2, 2500), place(true, 3, 2500)], 4, 1, &[1, 3]);
    }

    #[test]
    fn nobody_is_asked_for_more_than_it_can_hold() {
        check(&[place(true, 0, 2), place(true, 0, 2500)], 10, 0, &[2, 8]);
        check(&[place(true, 0, 2), place(true, 0, 3)], 10, 0, &[2, 3]);
        check(&[place(false, 0, 2500), place(false, 0, 2500)], 10, 1, &[0, 10]);
        check(&[], 10, 0, &[]);
    }

    #[test]
    fn a_turn_ends_after_a_streak_or_a_silence() {
        let mut turn = Turn::default();
        turn.delivered(STREAK - 1);
        assert_eq!(turn.at, 0);
        turn.delivered(1);
        assert_eq!((turn.at, turn.streak), (1, 0));
        turn.next();
        assert_eq!(turn.at, 2);
    }
}
