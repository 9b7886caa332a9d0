//! Banned sources as a worker asks for them: an immutable table that control makes and all workers share. XDP drops the
//! packets of the same sources; the worker closes their connections, whether XDP is there or not.

use super::endpoint::unmapped;
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;

/// When a ban ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Since the epoch, by the calendar: a ban outlives the process and the host's uptime.
    At(Duration),
    Never,
}

impl End {
    pub fn is_over(self, now: Duration) -> bool {
        self <= Self::At(now)
    }
}

/// Which addresses are banned until when. Where bans overlap, the last end counts.
#[derive(Debug, Default)]
pub struct BanTable {
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u128>>,
}

/// Addresses from `first` to `last`; the spans of a table are sorted and disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span<A> {
    first: A,
    last: A,
    end: End,
}

impl BanTable {
    pub fn new(bans: impl IntoIterator<Item = (IpNet, End)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (range, end) in bans {
            match unmapped(range) {
                IpNet::V4(net) => {
                    let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                    v4.push(Span { first: first.into(), last: last.into(), end });
                }
                IpNet::V6(net) => {
                    v6.push(Span { first: net.network().into(), last: net.broadcast().into(), end });
                }
            }
        }
        let narrow =
            |span: Span<u128>| Span { first: span.first as u32, last: span.last as u32, end: span.end };
        Self { v4: flattened(v4).into_iter().map(narrow).collect(), v6: flattened(v6) }
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Since the epoch: `now`. A ban that is over bans nobody, even while it stands in the table.
    pub fn is_banned(&self, source: IpAddr, now: Duration) -> bool {
        let end = match source.to_canonical() {
            IpAddr::V4(address) => find(&self.v4, u32::from(address)),
            IpAddr::V6(address) => find(&self.v6, u128::from(address)),
        };
        end.is_some_and(|end| !end.is_over(now))
    }

    /// Is any address of the range in the table?
    pub fn overlaps(&self, range: IpNet) -> bool {
        match unmapped(range) {
            IpNet::V4(net) => touches(&self.v4, u32::from(net.network()), u32::from(net.broadcast())),
            IpNet::V6(net) => touches(&self.v6, u128::from(net.network()), u128::from(net.broadcast())),
        }
    }
}

fn find<A: Copy + Ord>(spans: &[Span<A>], address: A) -> Option<End> {
    let behind = spans.partition_point(|span| span.first <= address);
    let span = spans[..behind].last()?;
    (span.last >= address).then_some(span.end)
}

fn touches<A: Copy + Ord>(spans: &[Span<A>], first: A, last: A) -> bool {
    let behind = spans.partition_point(|span| span.first <= last);
    spans[..behind].last().is_some_and(|span| span.last >= first)
}

/// Ranges that lie within each other, or apart (as CIDRs do) → disjoint spans, each with the last end of those that
/// hold it.
fn flattened(mut ranges: Vec<Span<u128>>) -> Vec<Span<u128>> {
    ranges.sort_unstable_by_key(|range| (range.first, std::cmp::Reverse(range.last)));
    let mut flat = Flat { spans: Vec::with_capacity(ranges.len()), next: Some(0) };
    // The ranges around the place that is being looked at, the innermost last.
    let mut around: Vec<Span<u128>> = Vec::new();
    for range in ranges {
        while let Some(outer) = around.pop_if(|outer| outer.last < range.first) {
            flat.put(outer.last, outer.end);
        }
        let outer = around.last().map(|outer| outer.end);
        if let (Some(end), Some(last)) = (outer, range.first.checked_sub(1)) {
            flat.put(last, end);
        }
        flat.next = Some(range.first);
        around.push(Span { end: outer.map_or(range.end, |end| end.max(range.end)), ..range });
    }
    while let Some(outer) = around.pop() {
        flat.put(outer.last, outer.end);
    }
    flat.spans
}

struct Flat {
    spans: Vec<Span<u128>>,
    /// The first address that has no span yet; None: there is none behind the last one.
    next: Option<u128>,
}

impl Flat {
    /// From the first address that has no span yet to `last`.
    fn put(&mut self, last: u128, end: End) {
        let Some(first) = self.next.filter(|first| *first <= last) else { return };
        self.next = last.checked_add(1);
        match self.spans.last_mut() {
            Some(before) if before.end == end && before.last.checked_add(1) == Some(first) => {
                before.last = last;
            }
            _ => self.spans.push(Span { first, last, end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> End {
        End::At(Duration::from_secs(seconds))
    }

    fn table(bans: &[(&str, End)]) -> BanTable {
        BanTable::new(bans.iter().map(|(range, end)| (range.parse().unwrap(), *end)))
    }

    fn banned(table: &BanTable, source: &str, now: u64) -> bool {
        table.is_banned(source.parse().unwrap(), Duration::from_secs(now))
    }

    #[test]
    fn a_ban_holds_its_range_until_its_end() {
        let table = table(&[
            ("203.0.113.7/32", at(10)),
            ("198.51.100.0/24", End::Never),
            ("2001:db8:1::/48", at(10)),
        ]);
        assert!(banned(&table, "203.0.113.7", 9) && !banned(&table, "203.0.113.7", 10));
        assert!(!banned(&table, "203.0.113.6", 9) && !banned(&table, "203.0.113.8", 9));
        assert!(banned(&table, "198.51.100.0", u64::MAX / 2) && banned(&table, "198.51.100.255", 0));
        assert!(!banned(&table, "198.51.99.255", 0) && !banned(&table, "198.51.101.0", 0));
        assert!(banned(&table, "2001:db8:1:ffff::1", 9) && !banned(&table, "2001:db8:2::", 9));
        assert!(banned(&table, "::ffff:198.51.100.1", 0), "a mapped address is the IPv4 one");
        assert!(!BanTable::default().is_banned("203.0.113.7".parse().unwrap(), Duration::ZERO));
    }

    #[test]
    fn everything_can_be_banned_and_one_family_is_not_the_other() {
        let v6 = table(&[("::/0", End::Never)]);
        assert!(banned(&v6, "::", 0) && banned(&v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0));
        assert!(!banned(&v6, "203.0.113.7", 0), "::/0 is no IPv4 address");
        let v4 = table(&[("0.0.0.0/0", at(5)), ("255.255.255.255/32", End::Never), ("0.0.0.0/32", at(9))]);
        assert!(banned(&v4, "255.255.255.255", 7) && banned(&v4, "0.0.0.0", 7) && !banned(&v4, "0.0.0.1", 7));
        assert!(!banned(&v4, "::1", 0));
        let mapped = table(&[("::ffff:10.0.0.0/104", End::Never)]);
        assert!(banned(&mapped, "10.255.0.1", 0) && !banned(&mapped, "11.0.0.0", 0));
    }

    #[test]
    fn of_bans_within_each_other_the_last_end_counts() {
        let table = table(&[("10.0.0.0/8", at(5)), ("10.1.0.0/16", at(9)), ("10.1.1.0/24", at(3))]);
        assert!(banned(&table, "10.1.1.1", 8), "the /16 holds it still");
        assert!(banned(&table, "10.2.0.0", 4) && !banned(&table, "10.2.0.0", 5));
        assert!(table.overlaps("10.1.1.0/25".parse().unwrap()));
        assert!(table.overlaps("0.0.0.0/0".parse().unwrap()));
        assert!(!table.overlaps("11.0.0.0/8".parse().unwrap()));
    }

    /// Short prefixes and few addresses, so that ranges meet.
    fn range() -> impl Strategy<Value = IpNet> {
        (any::<bool>(), 0_u8..=8, any::<u8>()).prop_map(|(v4, prefix, bits)| {
            let net = if v4 {
                IpNet::new(IpAddr::from([bits, 0, 0, 0]), prefix)
            } else {
                IpNet::new(IpAddr::from([u16::from(bits) << 8, 0, 0, 0, 0, 0, 0, 0]), prefix)
            };
            net.unwrap().trunc()
        })
    }

    proptest! {
        #[test]
        fn agrees_with_asking_each_ban(
            bans in prop::collection::vec((range(), prop::option::of(0_u64..4)), 0..24),
            now in 0_u64..5,
            asked in range(),
        ) {
            let bans: Vec<(IpNet, End)> =
                bans.into_iter().map(|(range, end)| (range, end.map_or(End::Never, at))).collect();
            let table = BanTable::new(bans.clone());
            let now = Duration::from_secs(now);
            for first in 0_u8..=255 {
                for last in [0, 255] {
                    let v4 = IpAddr::from([first, last, last, last]);
                    let low = u16::from(last) << 8 | u16::from(last);
                    let v6 = IpAddr::from([u16::from(first) << 8 | u16::from(last), low, low, low, low, low, low, low]);
                    for source in [v4, v6] {
                        let each = bans.iter().any(|(range, end)| range.contains(&source) && !end.is_over(now));
                        prop_assert_eq!(table.is_banned(source, now), each, "{}", source);
                    }
                }
            }
            let overlaps = bans.iter().any(|(range, _)| range.contains(&asked) || asked.contains(range));
            prop_assert_eq!(table.overlaps(asked), overlaps);
        }
    }
}
