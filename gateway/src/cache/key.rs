//! What tells cached answers apart: a text of parts that cannot run into each other, and its hash, by a secret of the
//! process, so that nobody outside can craft two keys that collide.

use std::hash::{BuildHasher, RandomState};

/// Writes a key into storage that is used again.
pub struct KeyWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> KeyWriter<'o> {
    /// `namespace`: shared by the methods that share answers; `method`: the request's.
    pub fn new(out: &'o mut Vec<u8>, namespace: &str, method: &str) -> Self {
        out.clear();
        let mut writer = Self { out };
        writer.value(namespace.as_bytes());
        writer.value(method.as_bytes());
        writer
    }

    /// All the values of one parameter, also none: absent and empty differ.
    pub fn parameter<V: AsRef<[u8]>>(&mut self, values: impl Iterator<Item = V>) {
        let counted = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        let mut count: u32 = 0;
        for value in values {
            self.value(value.as_ref());
            count += 1;
        }
        self.out[counted..counted + 4].copy_from_slice(&count.to_le_bytes());
    }

    /// Behind all parameters: whether the answer is wanted as binary, where that tells answers apart.
    pub fn form(&mut self, binary: bool) {
        // No parameter has so many values.
        self.out.extend_from_slice(&(u32::MAX - 1).to_le_bytes());
        self.out.push(u8::from(binary));
    }

    fn value(&mut self, value: &[u8]) {
        // Heads are far below 4 GiB.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(value);
    }
}

/// 2^61 - 1
const PRIME: u64 = (1 << 61) - 1;
const BLOCK: usize = 7;

/// The secret of the hash: a polynomial over the key's blocks modulo a prime, evaluated at a point that nobody knows,
/// then a random line. Two keys of n bytes collide with a probability of at most n / 2^61, whoever chose them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    point: u64,
    factor: u64,
    offset: u64,
}

impl Seed {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        let draw = |n: u32| 1 + state.hash_one(n) % (PRIME - 1);
        Self { point: draw(0), factor: draw(1), offset: draw(2) }
    }

    /// The same secret in each run.
    #[cfg(test)]
    pub(super) fn fixed(number: u64) -> Self {
        let draw = |n: u64| 1 + (number * 3 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (PRIME - 1);
        Self { point: draw(0), factor: draw(1), offset: draw(2) }
    }

    /// 61 bits.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let mut sum = key.len() as u64;
        let mut blocks = key.chunks_exact(BLOCK);
        for block in &mut blocks {
            sum = times(sum, self.point, number(block));
        }
        sum = times(sum, self.point, number(blocks.remainder()));
        times(sum, self.factor, self.offset)
    }
}

fn number(block: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..block.len()].copy_from_slice(block);
    u64::from_le_bytes(bytes)
}

/// a × b + c modulo the prime, each below 2^61.
fn times(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a) * u128::from(b) + u128::from(c);
    let folded = (product as u64 & PRIME) + (product >> 61) as u64;
    if folded >= PRIME { folded - PRIME } else { folded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(parameters: &[&[&str]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = KeyWriter::new(&mut out, "pets", "GET");
        for values in parameters {
            writer.parameter(values.iter());
        }
        out
    }

    #[test]
    fn no_two_requests_share_a_key_but_equal_ones() {
        let different: &[&[&[&str]]] = &[
            &[&[], &[]],
            &[&[""], &[]],
            &[&[], &[""]],
            &[&["", ""], &[]],
            &[&["a"], &["b"]],
            &[&["ab"], &[]],
            &[&["a", "b"], &[]],
            &[&["b", "a"], &[]],
            &[&["a\0\0\0\u{1}b"], &[]],
        ];
        let keys: HashSet<Vec<u8>> = different.iter().map(|parameters| key(parameters)).collect();
        assert_eq!(keys.len(), different.len());
        assert_eq!(key(&[&["a"]]), key(&[&["a"]]));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        KeyWriter::new(&mut one, "ab", "GET");
        KeyWriter::new(&mut other, "a", "bGET");
        assert_ne!(one, other);
    }

    #[test]
    fn the_hash_is_the_polynomial() {
        let seed = Seed { point: 0x123_4567_89ab_cdef, factor: 0x0fed_cba9_8765_4321, offset: 99 };
        let modulo = |a: u128| a % u128::from(PRIME);
        for length in [0, 1, 6, 7, 8, 14, 100] {
            let key: Vec<u8> = (0..length).map(|n| (n * 37 + 200) as u8).collect();
            let mut sum = key.len() as u128;
            let mut blocks: Vec<&[u8]> = key.chunks(7).collect();
            if key.len().is_multiple_of(7) {
                blocks.push(&[]);
            }
            for block in blocks {
                let number = block.iter().rev().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
                sum = modulo(modulo(sum) * u128::from(seed.point) + number);
            }
            let expected = modulo(sum * u128::from(seed.factor) + u128::from(seed.offset));
            assert_eq!(u128::from(seed.hash(&key)), expected, "{length}");
        }
    }

    #[test]
    fn each_process_hashes_by_its_own_secret() {
        let key = b"the same key";
        let hashes: HashSet<u64> = (0..20).map(|_| Seed::random().hash(key)).collect();
        assert_eq!(hashes.len(), 20);
    }

    /// Keys that differ by one step are hashes that do: where they fall is the secret's, and of some secrets uneven.
    #[test]
    fn keys_in_a_row_fall_into_all_parts() {
        const SECRETS: u64 = 32;
        let parts = |secret: u64| {
            let seed = Seed::fixed(secret);
            let part = |n: u64| seed.hash(&n.to_le_bytes()) >> (61 - 4);
            (0..64).map(part).collect::<HashSet<u64>>().len()
        };
        let met: usize = (0..SECRETS).map(parts).sum();
        assert!(met >= 14 * SECRETS as usize, "{met} of {}", 16 * SECRETS);
    }
}
