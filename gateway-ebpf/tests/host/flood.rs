//! A flood of invented sources against a table of the program's size: nobody honest is refused for it, and who
//! sends too much does not hide in it.

use crate::random::Random;
use crate::table::{Place, Ways};
use gateway_ebpf::abi::{Address, BUDGET_SETS};
use gateway_ebpf::budget::{self, Charge, UNITS_PER_SECOND};
use gateway_ebpf::gcra::{self, Rate};
use gateway_ebpf::hash::hash;
use std::sync::atomic::Ordering;

/// Invented sources, each seen once.
const FLOOD: u64 = 2_000_000;
/// Of which so many come in a second.
const FLOOD_RATE: u64 = 1_000_000;
const HONEST: u32 = 48;
const ATTACKERS: u32 = 4;
const START: u64 = 12_345 * UNITS_PER_SECOND;

struct Sets {
    sets: Vec<Ways>,
    keys: [u64; 6],
}

impl Sets {
    fn new() -> Self {
        Self { sets: (0..BUDGET_SETS).map(|_| Ways::default()).collect(), keys: Random::new(51).keys() }
    }

    fn place(&self, source: &Address) -> (u32, u64) {
        budget::place(hash(&self.keys, source, 1), BUDGET_SETS)
    }

    fn spend(&self, (set, tag): (u32, u64), now: u64, rate: Rate) -> Charge {
        budget::spend(&self.sets[set as usize], tag, now, rate)
    }

    /// Places whose budgets are not whole.
    fn in_use(&self, now: u64) -> usize {
        let in_debt = |place: &&Place| place.0.load(Ordering::Relaxed) & 0xffff_ffff_ffff > now;
        self.sets.iter().flatten().filter(in_debt).count()
    }
}

/// Sends whenever it may, by its own account: never more than is allowed, and often all of it.
struct Honest {
    place: (u32, u64),
    due: u64,
    /// It is silent until then; half of them never are.
    rests: u64,
    sent: u64,
}

impl Honest {
    fn send(&mut self, sets: &Sets, now: u64, rate: Rate, random: &mut Random) {
        while self.rests <= now {
            let Ok(due) = gcra::charge(self.due, now, rate) else { break };
            self.due = due;
            self.sent += 1;
            let charge = sets.spend(self.place, now, rate);
            assert_ne!(charge, Charge::Spent, "an honest source, for its packet {}", self.sent);
            if self.place.1.is_multiple_of(2) && random.once_in(500) {
                self.rests = now + random.below(2 * (rate.tolerance + rate.interval));
            }
        }
    }
}

/// Sends all the time, from the flood's middle on.
struct Attacker {
    place: (u32, u64),
    sent: u64,
    admitted: u64,
    untracked: u64,
}

impl Attacker {
    fn send(&mut self, sets: &Sets, now: u64, rate: Rate) {
        self.sent += 1;
        match sets.spend(self.place, now, rate) {
            Charge::Admitted => self.admitted += 1,
            Charge::Untracked => self.untracked += 1,
            Charge::Spent => {}
        }
    }
}

struct Outcome {
    /// The most of one attacker that passed uncharged.
    untracked: u64,
    /// Share of the places whose budgets are not whole, in the flood's middle.
    in_use: f64,
    sent_honest: u64,
}

fn flood(rate: Rate, attacks_per_second: u64) -> Outcome {
    let mut random = Random::new(52);
    let sets = Sets::new();
    let source = |number: u32| Address::mapped((0x0a00_0000 + number).to_be_bytes());
    let mut honest: Vec<Honest> = (0..HONEST)
        .map(|number| Honest { place: sets.place(&source(number)), due: 0, rests: START, sent: 0 })
        .collect();
    let mut attackers: Vec<Attacker> = (HONEST..HONEST + ATTACKERS)
        .map(|number| Attacker { place: sets.place(&source(number)), sent: 0, admitted: 0, untracked: 0 })
        .collect();
    let mut near_honest = vec![false; BUDGET_SETS as usize];
    honest.iter().for_each(|honest| near_honest[honest.place.0 as usize] = true);
    let mut in_use = 0;
    let step = UNITS_PER_SECOND / FLOOD_RATE;
    for number in 0..FLOOD {
        let now = START + number * step;
        let place = sets.place(&Address::mapped_word(random.next() as u32));
        // One in 2^30 shares set and tag with an honest source and spends what is its: that is the stated exception.
        if !near_honest[place.0 as usize] || honest.iter().all(|honest| honest.place != place) {
            let _ = sets.spend(place, now, rate);
        }
        honest[random.below(u64::from(HONEST)) as usize].send(&sets, now, rate, &mut random);
        if number == FLOOD / 2 {
            in_use = sets.in_use(now);
        }
        if number >= FLOOD / 2 && number.is_multiple_of(FLOOD_RATE / attacks_per_second) {
            attackers.iter_mut().for_each(|attacker| attacker.send(&sets, now, rate));
        }
    }
    let allowed = rate.tolerance / rate.interval + 1 + FLOOD / 2 * step / rate.interval;
    for attacker in &attackers {
        assert!(attacker.admitted <= allowed, "{} charged, {allowed} allowed", attacker.admitted);
        assert!(attacker.sent > 3 * allowed, "no attack: {} of {allowed}", attacker.sent);
    }
    Outcome {
        untracked: attackers.iter().map(|attacker| attacker.untracked).max().unwrap(),
        in_use: in_use as f64 / f64::from(4 * BUDGET_SETS),
        sent_honest: honest.iter().map(|honest| honest.sent).sum(),
    }
}

#[test]
fn a_flood_that_leaves_places_free_changes_nothing_for_anybody() {
    // An invented source holds its place for one interval: 500 places of 65,536, and 17,000.
    for (count, burst, attacks, honest) in [(2000, 4000, 50_000, 200_000), (60, 60, 10_000, 8000)] {
        let outcome = flood(Rate::new(count, UNITS_PER_SECOND, burst), attacks);
        assert_eq!(outcome.untracked, 0, "{count}/s, {} in use", outcome.in_use);
        assert!(outcome.sent_honest > honest, "{} sent", outcome.sent_honest);
    }
}

#[test]
fn a_flood_that_fills_the_table_refuses_nobody_and_an_attacker_wins_a_place_soon() {
    // Seen: 0.12 s and 0.06 s of the attack pass uncharged before it has its place, which it then keeps.
    for (count, period, burst) in [(4, 1, 40), (60, 60, 60)] {
        let outcome = flood(Rate::new(count, period * UNITS_PER_SECOND, burst), 10_000);
        assert!(outcome.in_use > 0.95, "{} in use: no flood", outcome.in_use);
        assert!(outcome.untracked < 2500, "{} of 10000 in a second", outcome.untracked);
        assert!(outcome.sent_honest > 2000, "{} sent", outcome.sent_honest);
    }
}
