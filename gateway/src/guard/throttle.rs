//! Budgets of requests that all workers share: GCRA's one number, moved on by compare-exchange. No lock, no timer.

use crate::model;
use gateway_ebpf::gcra::{self, Rate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND_NS: f64 = 1e9;
/// Of nanoseconds: no due time comes near to the end of its 64 bits.
const INTERVAL_MAX: u64 = 1 << 50;
const TOLERANCE_MAX: u64 = 1 << 62;

/// When the budget is whole again, in nanoseconds of `Meters`. In a line of the processor's cache of its own: whoever
/// uses another one does not wait for it.
#[repr(align(64))]
#[derive(Debug, Default)]
pub struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one, if there is one. Err: none was taken.
    #[inline]
    pub fn charge(&self, rate: Rate, now_ns: u64) -> Result<(), Spent> {
        let mut due = self.0.load(Relaxed);
        loop {
            let next = gcra::charge(due, now_ns, rate).map_err(|_| Spent)?;
            // Whoever was faster has taken one: somebody always gets on.
            match self.0.compare_exchange_weak(due, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(found) => due = found,
            }
        }
    }

    /// What could be taken now.
    pub fn remaining(&self, rate: Rate, now_ns: u64) -> u64 {
        rate.remaining(self.0.load(Relaxed), now_ns)
    }
}

/// The budget has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

/// How fast budgets fill: one for many, such as those of a plan's keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// None: nothing passes.
    rate: Option<Rate>,
    /// As it was written.
    pub said: model::Throttle,
}

impl Pace {
    /// None: what is said is no limit.
    pub fn new(said: model::Throttle) -> Option<Self> {
        (!said.is_unlimited()).then(|| Self { rate: rate(said), said })
    }

    #[inline]
    pub fn charge(&self, bucket: &Bucket, now_ns: u64) -> Result<(), Spent> {
        self.rate.map_or(Err(Spent), |rate| bucket.charge(rate, now_ns))
    }

    /// What could pass now.
    pub fn remaining(&self, bucket: &Bucket, now_ns: u64) -> u64 {
        self.rate.map_or(0, |rate| bucket.remaining(rate, now_ns))
    }
}

/// A limit in force: a budget and how fast it fills.
#[derive(Clone, Debug)]
pub struct Throttle {
    bucket: Arc<Bucket>,
    pace: Pace,
}

impl Throttle {
    /// None: what is said is no limit.
    pub fn new(said: model::Throttle, bucket: impl FnOnce() -> Arc<Bucket>) -> Option<Self> {
        Pace::new(said).map(|pace| Self { bucket: bucket(), pace })
    }

    pub fn said(&self) -> model::Throttle {
        self.pace.said
    }

    #[inline]
    pub fn charge(&self, now_ns: u64) -> Result<(), Spent> {
        self.pace.charge(&self.bucket, now_ns)
    }

    pub fn remaining(&self, now_ns: u64) -> u64 {
        self.pace.remaining(&self.bucket, now_ns)
    }
}

/// AWS's token bucket as intervals. None: nothing passes. A burst of 0 beside a rate is one of 1: otherwise the rate
/// could never be used.
fn rate(said: model::Throttle) -> Option<Rate> {
    if said.rate_limit <= 0.0 {
        return None;
    }
    // Below the mantissa's 53 bits, and `as` saturates.
    let interval = ((SECOND_NS / said.rate_limit).round() as u64).clamp(1, INTERVAL_MAX);
    let more = u64::try_from(said.burst_limit).unwrap_or(0).saturating_sub(1);
    Some(Rate { interval, tolerance: interval.saturating_mul(more).min(TOLERANCE_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    const SECOND: u64 = 1_000_000_000;

    fn throttle(rate_limit: f64, burst_limit: i64) -> Throttle {
        Throttle::new(model::Throttle { rate_limit, burst_limit }, Arc::default).unwrap()
    }

    fn admitted(throttle: &Throttle, now: u64) -> u64 {
        let mut count = 0;
        while throttle.charge(now).is_ok() {
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_at_once_and_then_the_rate() {
        let limited = throttle(10.0, 5);
        assert_eq!(admitted(&limited, 0), 5);
        assert_eq!(limited.remaining(0), 0);
        assert_eq!(admitted(&limited, SECOND / 10 - 1), 0);
        assert_eq!(admitted(&limited, SECOND / 10), 1);
        assert_eq!(limited.remaining(SECOND), 5, "never more than the burst");
        assert_eq!(admitted(&limited, 100 * SECOND), 5);
        let slow = throttle(0.5, 2);
        assert_eq!((admitted(&slow, 0), admitted(&slow, SECOND), admitted(&slow, 2 * SECOND)), (2, 0, 1));
    }

    #[test]
    fn odd_numbers_do_what_they_say() {
        assert_eq!(admitted(&throttle(0.0, 0), SECOND), 0, "nobody");
        assert_eq!(admitted(&throttle(0.0, 5), SECOND), 0);
        assert_eq!(admitted(&throttle(5.0, 0), SECOND), 1, "a rate needs a burst of one");
        assert_eq!(admitted(&throttle(f64::INFINITY, 7), 0), 7);
        assert_eq!(admitted(&throttle(f64::MIN_POSITIVE, i64::MAX), u64::MAX >> 2), (1 << 12) + 1);
        for none in [model::Throttle::NONE, model::Throttle { rate_limit: f64::NAN, burst_limit: 1 }] {
            assert!(Throttle::new(none, Arc::default).is_none());
        }
    }

    /// Workers whose clocks differ by up to a tick share one budget.
    #[test]
    fn workers_hand_out_one_budget() {
        const WORKERS: u64 = 4;
        const TICK: u64 = SECOND / 1000;
        for (rate_limit, burst_limit, seconds) in [(1000.0, 100, 10_u64), (37.0, 2, 60), (20_000.0, 5000, 1)]
        {
            let limited = throttle(rate_limit, burst_limit);
            let (passed, start) = (AtomicU64::new(0), Barrier::new(WORKERS as usize));
            std::thread::scope(|scope| {
                for worker in 0..WORKERS {
                    let (limited, passed, start) = (&limited, &passed, &start);
                    scope.spawn(move || {
                        start.wait();
                        for tick in 0..seconds * 1000 {
                            let now = tick * TICK + worker * TICK / WORKERS;
                            // More than the rate of all, in each worker alone.
                            for _ in 0..40 {
                                passed.fetch_add(u64::from(limited.charge(now).is_ok()), Relaxed);
                            }
                            if tick % 100 == 0 {
                                // Nobody's time runs away from the others'.
                                start.wait();
                            }
                        }
                    });
                }
            });
            let most = burst_limit as f64 + rate_limit * seconds as f64;
            let found = passed.into_inner() as f64;
            assert!(found <= most + 1.0, "{found} of {most}");
            // What would have come between the last tick and the end is missing. A burst of one would lose what falls
            // between two ticks, too.
            assert!(found >= most - rate_limit / 1000.0 - 1.0, "{found} of {most}");
        }
    }
}
