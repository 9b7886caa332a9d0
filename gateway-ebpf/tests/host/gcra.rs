//! The generic cell rate algorithm against its theorem and against a bucket that is filled by arithmetic.

use crate::random::Random;
use gateway_ebpf::gcra::{Rate, charge};

/// A budget and its clock.
struct Budget {
    due: u64,
    rate: Rate,
}

impl Budget {
    fn new(rate: Rate) -> Self {
        Self { due: 0, rate }
    }

    fn charge(&mut self, now: u64) -> Result<(), u64> {
        charge(self.due, now, self.rate).map(|due| self.due = due)
    }
}

fn burst(rate: Rate) -> u64 {
    rate.tolerance / rate.interval + 1
}

/// In each window between two admissions at most `burst + (w + tick) / interval`. The fullest window's surplus over
/// what no tick would allow.
fn most_in_any_window(times: &[u64], rate: Rate, tick: u64) -> i64 {
    let mut surplus = i64::MIN;
    for (first, start) in times.iter().enumerate() {
        for (last, end) in times.iter().enumerate().skip(first) {
            let (admitted, window) = ((last - first + 1) as u64, end - start);
            let most = burst(rate) + (window + tick) / rate.interval;
            assert!(admitted <= most, "{admitted} in {window} with a tick of {tick}: {rate:?}");
            surplus = surplus.max(admitted as i64 - (burst(rate) + window / rate.interval) as i64);
        }
    }
    surplus
}

fn random_rate(random: &mut Random) -> Rate {
    Rate::new(1, 1 + random.below(50), 1 + random.below(20))
}

#[test]
fn every_short_run_keeps_the_bound_and_some_run_reaches_it() {
    for interval in 1..=4 {
        for burst in 1..=4 {
            let rate = Rate::new(1, interval, burst);
            let mut reached = false;
            // In each of nine units nobody, one or two ask.
            for mut run in 0..3_u32.pow(9) {
                let (mut budget, mut times) = (Budget::new(rate), Vec::new());
                for now in 0..9 {
                    for _ in 0..run % 3 {
                        times.extend(budget.charge(now).is_ok().then_some(now));
                    }
                    run /= 3;
                }
                reached |= most_in_any_window(&times, rate, 0) == 0;
            }
            assert!(reached, "{rate:?}: the bound is not a tight one");
        }
    }
}

#[test]
fn decisions_are_those_of_a_bucket_that_fills_at_the_rate() {
    let mut random = Random::new(11);
    for _ in 0..500 {
        let rate = random_rate(&mut random);
        let mut budget = Budget::new(rate);
        let full = burst(rate) * rate.interval;
        let (mut level, mut now) = (full, random.below(1000));
        let mut times = Vec::new();
        for _ in 0..200 {
            let passed = if random.once_in(3) { random.below(3 * full) } else { random.below(rate.interval) };
            now += passed;
            level = full.min(level + passed);
            let left = budget.rate.remaining(budget.due, now);
            assert_eq!(left, level / rate.interval, "{rate:?}");
            assert_eq!(budget.charge(now).is_ok(), level >= rate.interval, "{rate:?}");
            if level >= rate.interval {
                level -= rate.interval;
                times.push(now);
            }
        }
        most_in_any_window(&times, rate, 0);
    }
}

#[test]
fn who_keeps_to_the_rate_is_never_refused() {
    let mut random = Random::new(12);
    for _ in 0..500 {
        let rate = random_rate(&mut random);
        let (mut spaced, mut now) = (Budget::new(rate), 0);
        for _ in 0..200 {
            now += rate.interval + random.below(2) * random.below(rate.interval);
            assert_eq!(spaced.charge(now), Ok(()), "{rate:?}");
        }
        // A whole burst at once, each time it can be whole again.
        let mut bursts = Budget::new(rate);
        for _ in 0..20 {
            for _ in 0..burst(rate) {
                assert_eq!(bursts.charge(now), Ok(()), "{rate:?}");
            }
            now += burst(rate) * rate.interval;
        }
    }
}

#[test]
fn the_time_to_wait_is_exact() {
    let mut random = Random::new(13);
    let mut refused = 0;
    for _ in 0..100_000 {
        let rate = random_rate(&mut random);
        let now = random.below(1_000_000);
        let due = now + random.below(rate.tolerance + rate.interval + 1);
        let Err(wait) = charge(due, now, rate) else { continue };
        refused += 1;
        assert!(wait > 0);
        assert!(charge(due, now + wait, rate).is_ok(), "{rate:?}");
        let earlier = charge(due, now + wait - 1, rate);
        assert_eq!(earlier, Err(1), "{rate:?}");
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_clock_that_stands_still_admits_the_burst() {
    for size in [1, 2, 100, 4000] {
        for now in [0, 1, 1 << 40] {
            let mut budget = Budget::new(Rate::new(2000, 15_625_000, size));
            let admitted = (0..size + 50).filter(|_| budget.charge(now).is_ok()).count() as u64;
            assert_eq!(admitted, size);
        }
    }
}

#[test]
fn a_coarse_clock_widens_windows_by_a_tick() {
    let mut random = Random::new(14);
    let mut surplus = i64::MIN;
    for _ in 0..300 {
        let rate = Rate::new(1, 1 + random.below(20), 1 + random.below(5));
        let tick = 1 + random.below(4 * rate.interval);
        let (mut budget, mut now, mut times) = (Budget::new(rate), random.below(1000), Vec::new());
        for _ in 0..300 {
            now += if random.once_in(20) { 20 * rate.interval } else { random.below(rate.interval + 1) };
            if budget.charge(now - now % tick).is_ok() {
                times.push(now);
            }
        }
        surplus = surplus.max(most_in_any_window(&times, rate, tick));
    }
    assert!(surplus > 0, "no window needed the tick that the bound allows for");
}

#[test]
fn the_longest_and_the_shortest_rates_do_not_overflow() {
    const UNITS: [u64; 4] = [1000, 1_000_000, 15_625_000, 1_000_000_000];
    for second in UNITS {
        for (count, seconds) in
            [(1, 3600), (1, 60), (1, 1), (300, 60), (2000, 1), (1_000_000, 60), (1_000_000, 1)]
        {
            for size in [1, 2, 4000, 1_000_000] {
                // From the machine's start to the years since 1970 and back to 2^62.
                for now in [0, 1, second * 86_400 * 365 * 60, 1 << 62] {
                    let rate = Rate::new(count, second * seconds, size);
                    assert!(rate.interval > 0);
                    assert_eq!(rate.remaining(0, now), size);
                    let mut budget = Budget::new(rate);
                    assert_eq!(budget.charge(now), Ok(()));
                    assert_eq!(rate.remaining(budget.due, now), size - 1);
                    // As if all but one of the burst were spent.
                    budget.due = now + rate.tolerance;
                    assert_eq!((rate.remaining(budget.due, now), budget.charge(now)), (1, Ok(())));
                    assert_eq!(
                        (rate.remaining(budget.due, now), budget.charge(now)),
                        (0, Err(rate.interval))
                    );
                    assert_eq!(rate.remaining(budget.due, now + rate.interval), 1);
                }
            }
        }
    }
}

#[test]
fn rounding_admits_never_less_and_at_most_one_unit_of_the_interval_more() {
    let mut random = Random::new(15);
    for _ in 0..100_000 {
        let period = 1 + random.below(60 * 15_625_000);
        let count = 1 + random.below(1_000_000);
        let rate = Rate::new(count, period, 1);
        assert!(rate.interval * count <= period || rate.interval == 1, "{count} in {period}");
        assert!((rate.interval + 1) * count > period, "{count} in {period}");
        assert_eq!(rate.tolerance, 0);
    }
    assert!(Rate::new(0, 1, 1).is_unlimited() && Rate::new(0, 0, 0) == Rate::UNLIMITED);
    assert_eq!(Rate::new(1, 10, 0), Rate::new(1, 10, 1), "one at least");
    assert_eq!(Rate::UNLIMITED.remaining(u64::MAX, 0), u64::MAX);
}

#[test]
fn what_remains_is_how_many_succeed() {
    let mut random = Random::new(16);
    for _ in 0..20_000 {
        let rate = random_rate(&mut random);
        let now = random.below(1000);
        let due = (now + random.below(2 * burst(rate) * rate.interval)).saturating_sub(random.below(100));
        let mut budget = Budget { due, rate };
        let admitted = (0..=burst(rate)).filter(|_| budget.charge(now).is_ok()).count() as u64;
        assert_eq!(rate.remaining(due, now), admitted, "{rate:?} due {due} at {now}");
    }
}
