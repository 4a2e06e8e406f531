//! Broken commands and frames, made from valid ones with printed seeds: a bounded version of the fuzz target.

#[path = "support/splits.rs"]
mod splits;

/// How many broken inputs are tried. `BIS_SEED` tries one.
const ROUNDS: u64 = 20_000;

const WHOLE: &[&[u8]] = &[
    b"IDENTIFY\n\0\0\0\x02{}",
    b"AUTH\n\0\0\0\x01s",
    b"SUB orders ship#ephemeral ordered\r\n",
    b"RDY 100\n",
    b"FIN 0123456789abcdef\nTOUCH 0123456789abcdef\nRELEASE 0123456789abcdef\n",
    b"REQ 0123456789abcdef 1500\n",
    b"PUB orders\n\0\0\0\x04a\nb\0",
    b"MPUB orders\n\0\0\0\x0f\0\0\0\x02\0\0\0\x01x\0\0\0\x02yz",
    b"DPUB orders 7\n\0\0\0\x01x",
    b"HPUB orders\n\0\0\0\x20\x070123456789abcdef\0\0\0\x02k\n\0\0\0\0\0\0\x01\x02x",
    b"CLS\nNOP\n",
    b"\0\0\0\x06\0\0\0\0OK",
    b"\0\0\0\x20\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x020123456789abcdefhi",
];

struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

#[test]
fn broken_input_is_decoded_alike_however_it_is_cut() {
    let seeds = match std::env::var("BIS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..ROUNDS,
    };
    for seed in seeds {
        let tried = std::panic::catch_unwind(|| one(seed));
        assert!(tried.is_ok(), "seed {seed}: run it alone with BIS_SEED={seed}");
    }
}

fn one(seed: u64) {
    let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = Vec::new();
    for _ in 0..1 + noise.below(4) {
        bytes.extend_from_slice(WHOLE[noise.below(WHOLE.len())]);
    }
    for _ in 0..noise.below(4) {
        let at = noise.below(bytes.len());
        match noise.below(4) {
            0 => bytes[at] = noise.below(256) as u8,
            1 => bytes.insert(at, b" \n\r\0\xff0"[noise.below(6)]),
            2 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(1)),
        }
    }
    let cuts: Vec<u8> = (0..1 + noise.below(5)).map(|_| noise.below(20) as u8).collect();
    splits::check(&bytes, &cuts);
}
