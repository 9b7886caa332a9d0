//! The generic cell rate algorithm (ITU-T I.371, annex A): one number per budget, no timer. The kernel's budgets and
//! the workers' throttles are this code.
//!
//! A budget is the time at which it will be whole again, its *due time*. What is admitted moves it on by one interval;
//! nothing is admitted that would find it further ahead than the tolerance.
//!
//! In any window of `w` units at most `burst + w / interval` are admitted. With a clock that stands still for up to a
//! tick, real windows are up to one tick longer than the clock's: `burst + (w + tick) / interval`.

/// Any unit of time; a budget's numbers share it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Time that one costs; 0: no limit.
    pub interval: u64,
    /// How far ahead a budget may be before the next one is refused.
    pub tolerance: u64,
}

impl Rate {
    pub const UNLIMITED: Self = Self { interval: 0, tolerance: 0 };

    /// `count` in each `period`, and up to `burst` (1 at least) at once. Rounded so that never less is admitted: an
    /// interval below one unit is one unit.
    pub const fn new(count: u64, period: u64, burst: u64) -> Self {
        if count == 0 {
            return Self::UNLIMITED;
        }
        let interval = if period / count == 0 { 1 } else { period / count };
        Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)) }
    }

    #[inline(always)]
    pub const fn is_unlimited(&self) -> bool {
        self.interval == 0
    }

    /// What is left at `now`, at most the burst.
    pub const fn remaining(&self, due: u64, now: u64) -> u64 {
        if self.interval == 0 {
            return u64::MAX;
        }
        let debt = due.saturating_sub(now);
        if debt > self.tolerance { 0 } else { (self.tolerance - debt) / self.interval + 1 }
    }
}

/// One more, now. Ok: the new due time. Err: how long until one is admitted again.
#[inline(always)]
pub const fn charge(due: u64, now: u64, rate: Rate) -> Result<u64, u64> {
    let due = if due > now { due } else { now };
    if rate.interval == 0 {
        return Ok(due);
    }
    let debt = due - now;
    if debt > rate.tolerance { Err(debt - rate.tolerance) } else { Ok(due + rate.interval) }
}
