//! The filters before the trie and the table of bans: most sources are in neither, and a bit says so.

use crate::address::Address;

/// Entries of RANGE_FILTERS: may a source be in a banned, in a trusted range?
pub const FILTER_BANNED: u32 = 0;
pub const FILTER_TRUSTED: u32 = 1;
const FILTER_FAMILY_WORDS: usize = 65_536 / 64;

/// A bit for each value of `Address::leading_bits`, IPv4's before IPv6's. Bits too many cost time only.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeFilter(pub [u64; 2 * FILTER_FAMILY_WORDS]);

impl RangeFilter {
    pub const EMPTY: Self = Self([0; 2 * FILTER_FAMILY_WORDS]);

    /// (word, bit)
    #[inline(always)]
    pub const fn place(v6: bool, leading: u16) -> (usize, u32) {
        (v6 as usize * FILTER_FAMILY_WORDS + (leading as usize >> 6), leading as u32 & 63)
    }

    /// Sets the bits of all addresses within the first `bits` of 128.
    pub fn mark(&mut self, address: &Address, bits: u32) {
        let v6 = !address.is_mapped();
        let mut set = |leading: u16| {
            let (word, bit) = Self::place(v6, leading);
            self.0[word] |= 1 << bit;
        };
        // Of the address's word that leading bits come from: how many of its bits the filter tells apart, and how many
        // the range has.
        let (word, told_apart, bits) = if v6 { (0, 32, bits) } else { (3, 16, bits.saturating_sub(96)) };
        let others = u32::saturating_sub(told_apart, bits);
        if others >= u16::BITS {
            return (0..=u16::MAX).for_each(set);
        }
        let first = u32::from_be(address.0[word]) >> (32 - told_apart);
        for leading in first..=first | ((1 << others) - 1) {
            let mut inside = *address;
            inside.0[word] = (leading << (32 - told_apart)).to_be();
            set(inside.leading_bits(v6));
        }
    }
}

/// Words of BAN_FILTER's one entry: a bit for each hash of a banned source. Bits too many cost time only.
pub const BAN_FILTER_WORDS: usize = 16_384;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BanFilter(pub [u64; BAN_FILTER_WORDS]);

impl BanFilter {
    /// (word, bit) of a source's hash
    #[inline(always)]
    pub const fn place(hash: u32) -> (usize, u32) {
        (hash as usize >> 6 & (BAN_FILTER_WORDS - 1), hash & 63)
    }
}
