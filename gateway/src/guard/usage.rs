//! What a key of a usage plan has used: by period, for its quota, and by day, to be told and kept. All workers count in
//! the same numbers.

use crate::model::{Allowance, Granted};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A day in the upper bits, what was counted in the lower ones.
const COUNT_BITS: u32 = 40;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
/// Grants stand in the same bits, this one is none.
const NO_GRANT: u64 = 1 << (COUNT_BITS - 1);

/// A day (since 1970) and a number in one word: both change at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub day: u32,
    pub used: u64,
}

impl Counted {
    fn of(word: u64) -> Self {
        Self { day: (word >> COUNT_BITS) as u32, used: word & COUNT_MAX }
    }

    fn word(self) -> u64 {
        (u64::from(self.day) << COUNT_BITS) | self.used.min(COUNT_MAX)
    }
}

/// In cache lines of its own.
#[repr(align(64))]
#[derive(Debug)]
pub struct Usage {
    /// The first day of a period, and what was used since.
    period: AtomicU64,
    /// Of odd and of even days: who reads them once a day sees each day whole.
    days: [AtomicU64; 2],
    /// The first day of a period, and what was granted in it beside the limit, plus `NO_GRANT`.
    granted: AtomicU64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { period: AtomicU64::default(), days: Default::default(), granted: AtomicU64::new(NO_GRANT) }
    }
}

/// The quota of the period is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded;

impl Usage {
    /// What is left of it.
    pub fn remaining(&self, allowance: Allowance) -> u64 {
        let used = Self::used_in(Counted::of(self.period.load(Relaxed)), allowance.first_day);
        self.limit(allowance).saturating_sub(used)
    }

    /// One request more. Err: it is not counted.
    pub fn charge(&self, allowance: Option<Allowance>, day: u32) -> Result<(), Exceeded> {
        if let Some(allowance) = allowance {
            let (limit, first) = (self.limit(allowance), allowance.first_day);
            let mut found = self.period.load(Relaxed);
            loop {
                let counted = Counted::of(found);
                let used = Self::used_in(counted, first);
                if used >= limit.min(COUNT_MAX) {
                    return Err(Exceeded);
                }
                // A clock that went back does not begin a period again.
                let next = Counted { day: counted.day.max(first), used: used + 1 };
                match self.period.compare_exchange_weak(found, next.word(), Relaxed, Relaxed) {
                    Ok(_) => break,
                    Err(other) => found = other,
                }
            }
        }
        self.add_day(day, 1);
        Ok(())
    }

    fn used_in(counted: Counted, first: u32) -> u64 {
        if counted.day < first { 0 } else { counted.used }
    }

    fn limit(&self, Allowance { limit, first_day }: Allowance) -> u64 {
        let granted = Counted::of(self.granted.load(Relaxed));
        if granted.day != first_day {
            return limit;
        }
        (limit + granted.used).saturating_sub(NO_GRANT)
    }

    /// The two days that may still be counted for.
    pub fn days(&self) -> [Counted; 2] {
        [0, 1].map(|slot: usize| Counted::of(self.days[slot].load(Relaxed)))
    }

    fn add_day(&self, day: u32, requests: u64) {
        let slot = &self.days[(day % 2) as usize];
        let mut found = slot.load(Relaxed);
        loop {
            let counted = Counted::of(found);
            let next = match counted.day {
                known if known < day => Counted { day, used: requests },
                // A clock that went back by days: the later day has it.
                _ => Counted { used: counted.used + requests, ..counted },
            };
            match slot.compare_exchange_weak(found, next.word(), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => found = other,
            }
        }
    }

    /// What another process counted meanwhile: whatever the quota says, it was used.
    pub fn add(&self, allowance: Option<Allowance>, day: u32, requests: u64) {
        if let Some(Allowance { first_day: first, .. }) = allowance {
            let added = |word| {
                let counted = Counted::of(word);
                let used = Self::used_in(counted, first) + requests;
                Some(Counted { day: counted.day.max(first), used }.word())
            };
            let _ = self.period.fetch_update(Relaxed, Relaxed, added);
        }
        self.add_day(day, requests);
    }

    /// Puts what is known of a day, before anybody counts.
    pub(super) fn begin_day(&self, counted: Counted) {
        self.days[(counted.day % 2) as usize].store(counted.word(), Relaxed);
    }

    /// Puts what was used in a period that begins with that day. Asked again when somebody counted meanwhile.
    pub(super) fn begin_period(&self, used: impl Fn() -> Option<Counted>) {
        let mut found = self.period.load(Relaxed);
        while let Some(counted) = used() {
            match self.period.compare_exchange(found, counted.word(), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => found = other,
            }
        }
    }

    pub(super) fn grant(&self, granted: Option<Granted>) {
        let word = granted.map_or(NO_GRANT, |granted| {
            let most = NO_GRANT as i64 - 1;
            let requests = granted.requests.clamp(-most, most);
            Counted { day: granted.first_day, used: NO_GRANT.saturating_add_signed(requests) }.word()
        });
        self.granted.store(word, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Quota, QuotaPeriod};

    fn quota(limit: u64, period: QuotaPeriod) -> Quota {
        Quota { limit, offset: 0, period }
    }

    fn used(usage: &Usage, day: u32) -> u64 {
        usage.days().iter().find(|counted| counted.day == day).map_or(0, |counted| counted.used)
    }

    #[test]
    fn a_period_has_its_limit_and_then_the_next_begins() {
        let (usage, daily) = (Usage::default(), quota(3, QuotaPeriod::Day));
        let left = |day| usage.remaining(daily.on(day));
        for n in 0..3 {
            assert_eq!(left(100), 3 - n);
            assert_eq!(usage.charge(Some(daily.on(100)), 100), Ok(()));
        }
        assert_eq!((usage.charge(Some(daily.on(100)), 100), left(100), left(101)), (Err(Exceeded), 0, 3));
        assert_eq!(usage.charge(Some(daily.on(101)), 101), Ok(()));
        assert_eq!(
            usage.charge(Some(daily.on(100)), 100),
            Ok(()),
            "the clock went back: it counts in the new day's period"
        );
        assert_eq!((left(101), used(&usage, 100), used(&usage, 101)), (1, 4, 1));
        assert_eq!(usage.charge(None, 102), Ok(()), "without a quota it is counted by day");
        assert_eq!((used(&usage, 100), used(&usage, 102)), (0, 1), "the slot is the next even day's");
    }

    #[test]
    fn grants_hold_for_their_period() {
        let (usage, daily) = (Usage::default(), quota(3, QuotaPeriod::Day));
        usage.grant(Some(Granted { first_day: 100, requests: 2 }));
        assert_eq!((usage.remaining(daily.on(100)), usage.remaining(daily.on(101))), (5, 3));
        usage.grant(Some(Granted { first_day: 100, requests: -2 }));
        assert_eq!(usage.remaining(daily.on(100)), 1);
        usage.grant(Some(Granted { first_day: 100, requests: i64::MIN }));
        assert_eq!(
            (usage.remaining(daily.on(100)), usage.charge(Some(daily.on(100)), 100)),
            (0, Err(Exceeded))
        );
        usage.grant(None);
        assert_eq!(usage.remaining(daily.on(100)), 3);
    }

    #[test]
    fn what_others_counted_is_added_past_the_limit() {
        let (usage, daily) = (Usage::default(), quota(3, QuotaPeriod::Day));
        usage.add(Some(daily.on(100)), 100, 7);
        assert_eq!((usage.remaining(daily.on(100)), used(&usage, 100)), (0, 7));
    }

    #[test]
    fn workers_give_out_exactly_the_quota_of_each_day() {
        let (usage, daily) = (Usage::default(), quota(1000, QuotaPeriod::Day));
        let midnight = std::sync::Barrier::new(4);
        let admitted: Vec<u64> = std::thread::scope(|scope| {
            let worker = || {
                let mut admitted = 0;
                for day in 10..14 {
                    midnight.wait();
                    admitted +=
                        (0..2000).filter(|_| usage.charge(Some(daily.on(day)), day).is_ok()).count() as u64;
                }
                admitted
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(admitted.iter().sum::<u64>(), 4000);
        assert_eq!((used(&usage, 12), used(&usage, 13)), (1000, 1000));
    }
}
