//! Which messages a client with a sample rate is given. It knows no message.

/// A seeded sequence of decisions. Not for secrets.
#[derive(Debug)]
pub(crate) struct Sampler {
    rate: u32,
    noise: u64,
}

impl Sampler {
    /// Takes about `rate` per cent; `None` when that is all. The seed makes the sequence.
    pub(crate) fn new(rate: u32, seed: u64) -> Option<Self> {
        // An xorshift must not begin with zero.
        (rate > 0).then_some(Self { rate, noise: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 })
    }

    /// Whether the next message is taken. As on nsqd, one in a hundred more than the rate says.
    pub(crate) fn takes(&mut self) -> bool {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        (self.noise >> 33) % 100 <= u64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_rate_is_taken() {
        assert!(Sampler::new(0, 7).is_none());
        for rate in [1, 42, 99] {
            let mut sampler = Sampler::new(rate, 7).unwrap();
            let taken = (0..10_000).filter(|_| sampler.takes()).count();
            let expected = (rate as usize + 1) * 100;
            assert!(taken.abs_diff(expected) < 300, "{rate} per cent: {taken} of 10000");
        }
    }
}
