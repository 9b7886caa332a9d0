//! The hash that places sources: even over the sets, and different with each key.

use crate::random::Random;
use gateway_ebpf::abi::{Address, BUDGET_SETS, BanFilter, Bucket, DIRECTORY_BUCKETS, RangeFilter, VERSION};
use gateway_ebpf::budget;
use gateway_ebpf::hash::hash;

const KEYS: u64 = 24;
const SOURCES: u32 = 2 * BUDGET_SETS;

type Numbered = fn(u32) -> Address;

/// Patterns of addresses as one operator or one attacker would have them.
const PATTERNS: [(&str, Numbered); 6] = [
    ("sequential IPv4", |number| v4(0x0a00_0000 + number)),
    ("IPv4 in steps of 256", |number| v4(number << 8)),
    ("sequential /64s", |number| v6(0x2001_0db8_0000_0000 | u128::from(number), 0)),
    ("/64s in steps of 65536", |number| v6(0x2000_0000_0000_0000 | u128::from(number) << 16, 0)),
    ("sequential hosts", |number| v6(0x2001_0db8_0000_0000, u128::from(number))),
    ("same low bits", |number| v6(u128::from(number) << 40, 1)),
];

fn v4(number: u32) -> Address {
    Address::mapped(number.to_be_bytes())
}

fn v6(high: u128, low: u128) -> Address {
    Address::from_octets((high << 64 | low).to_be_bytes())
}

/// Chi-square over its degrees of freedom: 1 for what is drawn.
fn unevenness(cells: impl Iterator<Item = u32>, number: u32) -> f64 {
    let mut counts = vec![0_u32; number as usize];
    let mut all = 0_u32;
    for cell in cells {
        counts[cell as usize] += 1;
        all += 1;
    }
    let expected = f64::from(all) / f64::from(number);
    let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.iter().map(square).sum::<f64>() / f64::from(number - 1)
}

#[test]
fn sources_are_spread_evenly_over_sets_and_tags() {
    let mut random = Random::new(41);
    for (name, address) in PATTERNS {
        // One key may suit a pattern ill, as any that is drawn; most do not, and their mean is that of dice.
        let mut of_keys = [Vec::new(), Vec::new()];
        for _ in 0..KEYS {
            let keys = random.keys();
            let places =
                (0..SOURCES).map(|number| budget::place(hash(&keys, &address(number), 1), BUDGET_SETS));
            of_keys[0].push(unevenness(places.clone().map(|(set, _)| set), BUDGET_SETS));
            of_keys[1].push(unevenness(places.map(|(_, tag)| tag as u32), 1 << 16));
        }
        for (of_keys, what) in of_keys.iter_mut().zip(["sets", "tags"]) {
            of_keys.sort_by(f64::total_cmp);
            let mean = of_keys.iter().sum::<f64>() / of_keys.len() as f64;
            assert!(mean < 3.0, "{name}: {what} {of_keys:?}");
            assert!(of_keys[of_keys.len() / 2] < 1.5, "{name}: {what} {of_keys:?}");
        }
    }
}

#[test]
fn random_sources_are_spread_as_dice_are() {
    let mut random = Random::new(42);
    for _ in 0..4 {
        let keys = random.keys();
        let mut sources = Random::new(random.next());
        let hashes: Vec<u32> = (0..SOURCES).map(|_| hash(&keys, &v4(sources.next() as u32), 1)).collect();
        for shift in [0, 8, 16, 18] {
            let cells = hashes.iter().map(|hash| hash >> shift & (BUDGET_SETS - 1));
            let unevenness = unevenness(cells, BUDGET_SETS);
            // Seven standard deviations of chi-square with so many degrees of freedom.
            assert!((0.92..1.08).contains(&unevenness), "{unevenness} at bit {shift}");
        }
    }
}

/// Two things to hash, different from each other.
type Pair = fn(&mut Random) -> [(Address, u32); 2];

#[test]
fn two_sources_meet_as_often_as_dice_whatever_they_are() {
    const DRAWN: u32 = 1 << 17;
    let pairs: [Pair; 5] = [
        |random| [0, 1].map(|_| (v6(random.next().into(), random.next().into()), random.next() as u32)),
        |_| [(v4(0x0a00_0001), 1), (v4(0x0a00_0002), 1)],
        |_| [(v4(0x0a00_0001), 1), (v4(0x0a00_0001), 2)],
        |_| [(v6(1 << 63, 0), 1), (v6(0, 0), 1)],
        |random| [1, 2].map(|number| (v6(u128::from(random.next() as u32) << 32 | number, 7), 1)),
    ];
    for (place, pair) in pairs.into_iter().enumerate() {
        let mut random = Random::new(43);
        // With a key of its own, each: in how many of the low bits do the two agree?
        let agree: Vec<u32> = (0..DRAWN)
            .map(|_| {
                let keys = random.keys();
                let [a, b] = pair(&mut random);
                (hash(&keys, &a.0, a.1) ^ hash(&keys, &b.0, b.1)).trailing_zeros()
            })
            .collect();
        // 2^-14 of them in all bits of the set, and so for fewer bits; within six standard deviations.
        for bits in [14, 8, 4] {
            let expected = f64::from(DRAWN) / f64::from(1_u32 << bits);
            let seen = agree.iter().filter(|agree| **agree >= bits).count() as f64;
            assert!((seen - expected).abs() < 6.0 * expected.sqrt(), "pair {place}: {seen} of {expected}");
        }
    }
}

#[test]
fn who_collides_depends_on_the_key() {
    let set = |keys: &[u64; 6], number| hash(keys, &v4(number), 1) & (BUDGET_SETS - 1);
    let (keys, others) = (Random::new(1).keys(), Random::new(2).keys());
    let meets = |keys, number| set(keys, number) == set(keys, 0x0a00_0001);
    let mut random = Random::new(44);
    let met: Vec<u32> =
        (0..100_000).map(|_| random.next() as u32).filter(|number| meets(&keys, *number)).collect();
    assert!(!met.is_empty());
    let again = met.iter().filter(|number| meets(&others, **number)).count();
    assert_eq!(again, 0, "who knew one key's collisions knows nothing of another's: {met:x?}");
}

#[test]
fn every_word_counts() {
    let keys = Random::new(45).keys();
    let base = Address([1, 2, 3, 4]);
    let mut hashes = vec![hash(&keys, &base, 5), hash(&keys, &base, 6)];
    for word in 0..4 {
        for bit in 0..32 {
            let mut changed = base;
            changed.0[word] ^= 1 << bit;
            hashes.push(hash(&keys, &changed, 5));
        }
    }
    let number = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), number, "no two of so few agree in 32 bits");
    // Before it is mixed, the hash is a sum of products.
    let sum = 1 + 4 + 9 + 16 + 25;
    assert_eq!(
        hash(&[0, 1 << 32, 2 << 32, 3 << 32, 4 << 32, 5 << 32], &base, 5),
        hash(&[sum << 32, 0, 0, 0, 0, 0], &base, 5)
    );
}

/// Maps are adopted by their version: what an older program placed must be where this one looks.
#[test]
fn places_are_those_of_this_version() {
    let keys = Random::new(47).keys();
    let source = Address::from_octets([0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let hash = hash(&keys, &source, 7);
    let places = (
        hash,
        Bucket::place(hash),
        budget::place(hash, BUDGET_SETS),
        BanFilter::place(hash),
        RangeFilter::place(true, source.leading_bits(true)),
        RangeFilter::place(false, Address::mapped([203, 0, 113, 7]).leading_bits(false)),
    );
    let expected = (2_157_989_731, (3939, 2_157_989_731), (3939, 32_928), (317, 35), (1764, 45), (812, 0));
    assert_eq!((VERSION, places), (3, expected), "another place: a new VERSION");
}

#[test]
fn a_bucket_gives_the_listener_of_its_tag() {
    let mut random = Random::new(46);
    for _ in 0..20_000 {
        let mut bucket = Bucket::EMPTY;
        let mut tags: Vec<u32> = Vec::new();
        for _ in 0..random.below(9) {
            let tag = random.next() as u32;
            if !tags.contains(&tag) {
                bucket.0[tags.len()] = Bucket::cell(tag, (tag ^ 77) & 2047);
                tags.push(tag);
            }
        }
        for tag in &tags {
            assert_eq!(bucket.find(*tag), Some((tag ^ 77) & 2047));
        }
        let other = random.next() as u32;
        assert_eq!(bucket.find(other), tags.contains(&other).then_some((other ^ 77) & 2047));
    }
    assert_eq!(Bucket::EMPTY.find(0), None);
    for hash in [0, 1, DIRECTORY_BUCKETS, u32::MAX] {
        assert_eq!(Bucket::place(hash), (hash % DIRECTORY_BUCKETS, hash));
    }
}

#[test]
fn a_listener_whose_hash_is_zero_is_found_too() {
    for at in 0..8 {
        let mut bucket = Bucket::EMPTY;
        bucket.0[at] = Bucket::cell(0, 3);
        assert_eq!(bucket.find(0), Some(3), "in cell {at}");
    }
}
