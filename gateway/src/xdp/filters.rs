//! The filters before the tries and tables: bits that say where a look is worth while. A bit too many costs a look; one
//! too few would let a ban or a trust go unseen, so bits come before what they stand for and go after it.

use super::maps::Maps;
use super::rules::Prefix;
use gateway_ebpf::abi::{BanFilter, RangeFilter};
use std::sync::atomic::Ordering;

impl Maps {
    /// Sets the filter of a set of ranges, and the flag that says whether there are any.
    pub(super) fn filter_ranges<'p>(&self, filter: u32, flag: u32, ranges: impl Iterator<Item = &'p Prefix>) {
        let mut bits = RangeFilter::EMPTY;
        let mut any = false;
        for range in ranges {
            any = true;
            let (length, address) = range;
            bits.mark(address, *length);
        }
        // On before the first, off after the last.
        if any {
            self.state.flags().fetch_or(flag, Ordering::Release);
        } else {
            self.state.flags().fetch_and(!flag, Ordering::Release);
        }
        let words = self.range_filters.words().iter().skip(filter as usize * bits.0.len());
        words.zip(bits.0).for_each(|(word, bits)| word.store(bits, Ordering::Release));
    }

    /// Lets the program look for a source with this hash.
    pub(super) fn filter_ban(&self, hash: u32) {
        let (word, bit) = BanFilter::place(hash);
        self.ban_filter.words()[word].fetch_or(1 << bit, Ordering::Release);
    }

    /// All bits anew, for the sources that are left.
    pub(super) fn filter_bans(&self, hashes: impl Iterator<Item = u32>) {
        let words = self.ban_filter.words();
        let mut bits = vec![0u64; words.len()];
        for hash in hashes {
            let (word, bit) = BanFilter::place(hash);
            bits[word] |= 1 << bit;
        }
        words.iter().zip(bits).for_each(|(word, bits)| word.store(bits, Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdp::rules::{octets, prefix};

    fn mark(filter: &mut RangeFilter, range: &str) {
        let (bits, address) = prefix(&range.parse().unwrap());
        filter.mark(&address, bits);
    }

    fn holds(filter: &RangeFilter, address: &str) -> bool {
        let address: std::net::IpAddr = address.parse().unwrap();
        let (word, bit) =
            RangeFilter::place(address.is_ipv6(), octets(address).leading_bits(address.is_ipv6()));
        filter.0[word] >> bit & 1 != 0
    }

    #[test]
    fn every_address_of_a_range_has_its_bit() {
        let mut filter = RangeFilter::EMPTY;
        for range in ["203.0.113.0/24", "10.0.0.0/9", "2001:db8:7::/48", "2400::/28"] {
            mark(&mut filter, range);
        }
        for inside in ["203.0.113.9", "10.0.0.0", "10.127.255.255", "2001:db8::1", "2400:f::1", "2400::"] {
            assert!(holds(&filter, inside), "{inside}");
        }
        for outside in ["203.1.0.0", "10.128.0.0", "9.255.0.0", "2001:db9::", "2002:db8::", "0.0.0.0", "::1"]
        {
            assert!(!holds(&filter, outside), "{outside}");
        }
        mark(&mut filter, "0.0.0.0/0");
        assert!(holds(&filter, "255.255.255.255") && holds(&filter, "0.0.0.0") && !holds(&filter, "ffff::"));
        mark(&mut filter, "ffff:ffff::/32");
        assert!(holds(&filter, "ffff:ffff::1"));
        mark(&mut filter, "fc00::/7");
        assert!(holds(&filter, "fdff:ffff::1") && holds(&filter, "fc00::"));
    }
}
