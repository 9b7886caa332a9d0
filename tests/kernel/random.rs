//! Random numbers that a test can have again.

/// xorshift64*: the same numbers on every run, unless GATEWAY_SEED says otherwise.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self::of(seed())
    }

    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.next() >> 32) % bound as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("GATEWAY_SEED").ok();
    seed.map_or(0x9e37_79b9_7f4a_7c15, |seed| seed.parse().expect("GATEWAY_SEED is a number"))
}
