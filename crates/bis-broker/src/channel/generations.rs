//! Which messages were replayed, and how often: the generation of each. A replay covers a range of sequences; what was
//! published after it has never been replayed.

/// The most ranges of different generations that are kept apart; beyond it the two oldest become one.
const MAX_STEPS: usize = 256;

/// The generation of every sequence, as steps: each holds from its sequence on, up to the next one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Generations {
    /// By rising sequence; no two neighbours have the same generation. What lies below the first is of generation 0.
    steps: Vec<(u64, u32)>,
}

impl Generations {
    pub(super) fn from_steps(steps: &[(u64, u32)]) -> Self {
        let mut generations = Self { steps: steps.to_vec() };
        generations.steps.sort_by_key(|(from, _)| *from);
        generations.tidy();
        generations
    }

    pub(super) fn steps(&self) -> &[(u64, u32)] {
        &self.steps
    }

    /// How often this message was replayed.
    pub(super) fn of(&self, sequence: u64) -> u32 {
        let after = self.steps.partition_point(|(from, _)| *from <= sequence);
        after.checked_sub(1).map_or(0, |at| self.steps[at].1)
    }

    /// A replay of `from..end`.
    pub(super) fn raise(&mut self, from: u64, end: u64) {
        if from >= end {
            return;
        }
        self.split_at(from);
        self.split_at(end);
        for (_, generation) in self.steps.iter_mut().filter(|(at, _)| (from..end).contains(at)) {
            *generation = generation.saturating_add(1);
        }
        self.tidy();
    }

    fn split_at(&mut self, sequence: u64) {
        let generation = self.of(sequence);
        let place = self.steps.partition_point(|(from, _)| *from < sequence);
        if self.steps.get(place).is_none_or(|(from, _)| *from != sequence) {
            self.steps.insert(place, (sequence, generation));
        }
    }

    fn tidy(&mut self) {
        self.join_equals();
        while self.steps.len() > MAX_STEPS {
            // The higher one holds for both: a message must never come again under a generation that it had before.
            let (from, generation) = self.steps.remove(0);
            self.steps[0] = (from, self.steps[0].1.max(generation));
            self.join_equals();
        }
    }

    fn join_equals(&mut self) {
        let mut before = 0;
        self.steps.retain(|(_, generation)| std::mem::replace(&mut before, *generation) != *generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_raises_its_range_and_nothing_else() {
        let mut generations = Generations::default();
        let mut model = vec![0; 1000];
        let mut random = 7_u64;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % bound
        };
        for _ in 0..60 {
            let (from, end) = (below(1000), below(1001));
            generations.raise(from as u64, end as u64);
            model.get_mut(from..end).into_iter().flatten().for_each(|generation| *generation += 1);
            let all: Vec<u32> = (0..1000).map(|sequence| generations.of(sequence)).collect();
            assert_eq!(all, model);
            assert_eq!(Generations::from_steps(generations.steps()), generations);
        }
    }

    #[test]
    fn the_oldest_steps_are_joined_at_the_bound_and_no_generation_falls() {
        let mut generations = Generations::default();
        for at in 0..300 {
            let before: Vec<u32> = (0..600).map(|sequence| generations.of(sequence)).collect();
            generations.raise(2 * at, 2 * at + 1);
            assert!(generations.steps().len() <= MAX_STEPS);
            let falls = (0..600).any(|sequence| generations.of(sequence) < before[sequence as usize]);
            assert!(!falls, "after {at}");
            assert_eq!(generations.of(2 * at), 1);
        }
    }
}
