//! Multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): with secret random keys,
//! two different inputs agree in the result with probability 2^-32, whoever chose them.

use crate::abi::Address;

#[inline(always)]
pub const fn hash(keys: &[u64; 6], address: &Address, word: u32) -> u32 {
    let [a, b, c, d] = address.0;
    let sum = keys[0]
        .wrapping_add(keys[1].wrapping_mul(a as u64))
        .wrapping_add(keys[2].wrapping_mul(b as u64))
        .wrapping_add(keys[3].wrapping_mul(c as u64))
        .wrapping_add(keys[4].wrapping_mul(d as u64))
        .wrapping_add(keys[5].wrapping_mul(word as u64));
    mixed((sum >> 32) as u32)
}

/// One to one, so nothing agrees that did not: spreads sources that stand in a row.
#[inline(always)]
const fn mixed(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
    hash ^ (hash >> 15)
}
