//! Budgets of many sources: each as if it were alone, as long as its set has room.

use crate::random::Random;
use crate::table::{Ways, words};
use gateway_ebpf::budget::{self, Charge, DEBT_MAX, UNITS_PER_SECOND, WAYS, Word};
use gateway_ebpf::gcra::{self, Rate};
use std::cell::Cell;
use std::collections::HashMap;

/// Due times begin anew here.
const TIMES: u64 = 1 << 48;
const DAY: u64 = 86_400 * UNITS_PER_SECOND;

fn debt(word: u64, now: u64) -> u64 {
    let ahead = (word % TIMES + TIMES - now % TIMES) % TIMES;
    if ahead > DEBT_MAX { 0 } else { ahead }
}

fn tag(word: u64) -> u64 {
    word / TIMES
}

/// Places that were last used `ago`, by the tags 1, 2, 3, 4.
fn used(now: u64, ago: u64) -> Ways {
    let word = |way: u64| (way + 1) * TIMES + now.wrapping_sub(ago) % TIMES;
    let ways = Ways::default();
    for (way, place) in ways.iter().enumerate() {
        assert!(place.replace(0, word(way as u64)));
    }
    ways
}

fn spend(ways: &Ways, tag: u64, now: u64, rate: Rate) -> Charge {
    budget::spend(ways, tag, now, rate)
}

fn random_rate(random: &mut Random) -> Rate {
    let period = *random.of(&[UNITS_PER_SECOND, 60 * UNITS_PER_SECOND]);
    let count = *random.of(&[1, 7, 300, 2000, 1_000_000]);
    Rate::new(count, period, 1 + random.below(30))
}

/// Some time, up to what makes everything whole.
fn passes(random: &mut Random, rate: Rate) -> u64 {
    match random.below(64) {
        0..8 => random.below(rate.tolerance + 2 * rate.interval),
        8..24 => random.below(rate.interval + 1),
        _ => 0,
    }
}

/// Where the time begins: anywhere, and close to where the 48 bits end.
fn start(random: &mut Random) -> u64 {
    match random.below(3) {
        0 => random.below(1 << 57),
        1 => TIMES * (1 + random.below(4)) - 1 - random.below(UNITS_PER_SECOND),
        _ => TIMES - 1 - random.below(DAY),
    }
}

/// Any sources in one set, each with its own rate, against each one's own due time.
fn as_if_alone(sources: u64, seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
    let (mut untracked, mut spent) = (0, 0);
    for _ in 0..400 {
        let mut now = start(&mut random);
        let ways = used(now, 1);
        let tags: Vec<u64> = (0..sources).map(|place| place * 9973 + random.below(9973)).collect();
        let rates: Vec<Rate> = tags.iter().map(|_| random_rate(&mut random)).collect();
        let mut due: HashMap<u64, u64> = HashMap::new();
        let absence = random.below(300);
        for step in 0..300 {
            let of = random.below(sources) as usize;
            let (tag_of, rate) = (tags[of], rates[of]);
            now += passes(&mut random, rate);
            if step == absence {
                now += *random.of(&[0, DAY, 104 * DAY, 208 * DAY]);
            }
            due.retain(|_, due| *due > now);
            let before = words(&ways);
            let charge = spend(&ways, tag_of, now, rate);
            let alone = gcra::charge(due.get(&tag_of).copied().unwrap_or(0), now, rate);
            let others = due.keys().filter(|owner| **owner != tag_of).count();
            assert!(others <= WAYS);
            let expected = match alone {
                _ if others == WAYS => Charge::Untracked,
                Ok(new) => {
                    due.insert(tag_of, new);
                    Charge::Admitted
                }
                Err(_) => Charge::Spent,
            };
            assert_eq!(charge, expected, "{rate:?} at {now}: {before:x?}");
            untracked += u64::from(charge == Charge::Untracked);
            spent += u64::from(charge == Charge::Spent);
            changed_only_its_own(before, words(&ways), tag_of, now, charge);
            let left = budget::remaining(&words(&ways), tag_of, now, rate).unwrap_or(rate.remaining(0, 0));
            assert_eq!(left, rate.remaining(due.get(&tag_of).copied().unwrap_or(0), now));
        }
    }
    (untracked, spent)
}

/// One word at most, which was its own or whole; and none but for a charge.
fn changed_only_its_own(before: [u64; WAYS], after: [u64; WAYS], source: u64, now: u64, charge: Charge) {
    let changed: Vec<usize> = (0..WAYS).filter(|way| before[*way] != after[*way]).collect();
    assert_eq!(changed.len(), usize::from(charge == Charge::Admitted), "{before:x?} {after:x?}");
    for way in changed {
        assert!(tag(before[way]) == source || debt(before[way], now) == 0, "{before:x?}");
        assert_eq!(tag(after[way]), source);
    }
}

#[test]
fn as_many_sources_as_places_are_each_as_if_alone() {
    for sources in 1..=WAYS as u64 {
        let (untracked, spent) = as_if_alone(sources, 20 + sources);
        assert!(untracked == 0 && spent > 1000, "{untracked} untracked, {spent} spent");
    }
}

#[test]
fn more_sources_than_places_are_as_if_alone_or_untracked() {
    let (untracked, spent) = as_if_alone(6, 30);
    assert!(untracked > 1000 && spent > 1000, "{untracked} untracked, {spent} spent");
}

#[test]
fn a_set_full_of_others_in_debt_passes_a_fifth_and_changes_nothing() {
    let rate = Rate::new(1, UNITS_PER_SECOND, 2);
    for now in [DAY, TIMES - 1, TIMES, 5 * TIMES - UNITS_PER_SECOND] {
        let ways = used(now, 1);
        for owner in 11..15 {
            assert_eq!(spend(&ways, owner, now, rate), Charge::Admitted);
        }
        let full = words(&ways);
        for _ in 0..100 {
            assert_eq!(spend(&ways, 77, now + rate.interval - 1, rate), Charge::Untracked);
        }
        assert_eq!(words(&ways), full);
        assert_eq!(budget::remaining(&words(&ways), 77, now, rate), None);
        assert_eq!(spend(&ways, 77, now + rate.interval, rate), Charge::Admitted, "whole again, by the unit");
        // Who has a place is found before any that is whole.
        assert_eq!(spend(&ways, 14, now + rate.interval, rate), Charge::Admitted);
        assert_eq!(words(&ways).iter().filter(|word| tag(**word) == 14).count(), 1);
    }
}

#[test]
fn words_of_long_ago_are_whole() {
    let rate = Rate::new(1, 60 * UNITS_PER_SECOND, 20);
    for ago in [0, 1, UNITS_PER_SECOND, DAY, 104 * DAY, 208 * DAY, TIMES, TIMES + DAY] {
        for now in [TIMES * 3, TIMES * 3 + TIMES / 2, TIMES * 4 - 1] {
            for source in [1, 4, 99] {
                let ways = used(now, ago);
                for _ in 0..20 {
                    assert_eq!(spend(&ways, source, now, rate), Charge::Admitted, "{source}, {ago} ago");
                }
                assert_eq!(spend(&ways, source, now, rate), Charge::Spent, "{source}, {ago} ago");
            }
        }
    }
}

#[test]
fn a_debt_is_kept_over_the_beginning_of_time() {
    let rate = Rate::new(1, 60 * UNITS_PER_SECOND, 60);
    let hour = 3600 * UNITS_PER_SECOND;
    for before_end in [1, hour / 2, hour] {
        let now = TIMES - before_end;
        let ways = used(now, 1);
        for _ in 0..60 {
            assert_eq!(spend(&ways, 9, now, rate), Charge::Admitted);
        }
        assert_eq!(spend(&ways, 9, now + rate.interval - 1, rate), Charge::Spent);
        assert_eq!(budget::remaining(&words(&ways), 9, now + hour / 2, rate), Some(30));
        assert_eq!(budget::remaining(&words(&ways), 9, now + hour, rate), Some(60));
    }
}

#[test]
fn sets_and_tags_are_thirty_bits_of_the_hash() {
    for sets in [1, 1 << 14, 1 << 16] {
        for bit in 0..32 {
            let (set, tag) = budget::place(1 << bit, sets);
            assert_eq!(set, (1_u32 << bit) & (sets - 1));
            assert_eq!(tag, (1_u64 << bit) >> 16);
        }
    }
}

/// A word that others change so many times, just before it would be.
struct Contended {
    word: Cell<u64>,
    losses: Cell<u32>,
    other: fn(u64) -> u64,
}

impl Word for Contended {
    fn load(&self) -> u64 {
        self.word.get()
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        if let Some(left) = self.losses.get().checked_sub(1) {
            self.losses.set(left);
            self.word.set((self.other)(self.word.get()));
            return false;
        }
        assert_eq!(old, self.word.get());
        self.word.set(new);
        true
    }
}

fn contended(word: u64, losses: u32, other: fn(u64) -> u64) -> [Contended; WAYS] {
    std::array::from_fn(|_| Contended { word: Cell::new(word), losses: Cell::new(losses), other })
}

#[test]
fn a_lost_swap_is_tried_again_with_what_is_there_now() {
    let (now, rate) = (DAY, Rate::new(1, UNITS_PER_SECOND, 10));
    let more: fn(u64) -> u64 = |word| word + UNITS_PER_SECOND;
    for losses in 0..4 {
        let ways = contended(9 * TIMES + now, losses, more);
        assert_eq!(budget::spend(&ways, 9, now, rate), Charge::Admitted, "{losses}");
        let units = (u64::from(losses) + 1) * UNITS_PER_SECOND;
        assert_eq!(debt(ways[0].load(), now), units, "its own charge and those of the others");
        assert_eq!(ways[1].load(), 9 * TIMES + now, "the others are not touched");
    }
    let ways = contended(9 * TIMES + now, 4, more);
    assert_eq!(budget::spend(&ways, 9, now, rate), Charge::Spent, "as the module says");
    assert_eq!(ways[0].losses.get(), 0, "not before the fourth");
}

#[test]
fn a_place_lost_to_another_source_is_not_that_sources_debt() {
    let (now, rate) = (DAY, Rate::new(1, UNITS_PER_SECOND, 10));
    let taken: fn(u64) -> u64 = |_| 5 * TIMES + DAY + UNITS_PER_SECOND;
    let ways = contended(7 * TIMES, 1, taken);
    // Three are taken while it tries, the fourth too.
    let charge = budget::spend(&ways, 9, now, rate);
    assert!(ways.iter().all(|way| tag(way.load()) == 5));
    assert_ne!(charge, Charge::Spent, "refused for what others sent");
    let ways = contended(7 * TIMES, 1, taken);
    ways[3].losses.set(0);
    assert_eq!(budget::spend(&ways, 9, now, rate), Charge::Admitted);
    assert_eq!(debt(ways[3].load(), now), rate.interval);
}

#[test]
fn no_honest_source_is_refused_for_a_word_of_one_turn_of_time_ago() {
    let rate = Rate::new(2000, UNITS_PER_SECOND, 4000);
    for hours in [1, 2] {
        let now = TIMES * 3 + DAY;
        let ago = TIMES - hours * 3600 * UNITS_PER_SECOND / 2;
        let ways = used(now, ago);
        assert_eq!(spend(&ways, 1, now, rate), Charge::Admitted, "its word is {ago} units old");
    }
}

#[test]
fn places_that_nobody_ever_used_are_whole_at_any_time() {
    for before_end in [1, UNITS_PER_SECOND, 3600 * UNITS_PER_SECOND, 7199 * UNITS_PER_SECOND] {
        for (source, burst) in [(0, 4000), (0, 1), (9, 4000), (9, 1)] {
            let rate = Rate::new(2000, UNITS_PER_SECOND, burst);
            let charge = spend(&Ways::default(), source, TIMES - before_end, rate);
            assert_eq!(charge, Charge::Admitted, "tag {source}, {before_end} units before the end");
        }
    }
}
