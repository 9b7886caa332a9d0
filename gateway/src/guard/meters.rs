//! The process's budgets and counters by their names. They outlive every snapshot: a change of configuration finds the
//! ones that are in use. Asked while a snapshot is made, never by a request.

use super::throttle::Bucket;
use super::usage::{Counted, Usage};
use crate::model::{Granted, Quota};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Days of which is kept and told what was used.
pub const DAYS_KEPT: u32 = 100;

/// Whose budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Account { account: String, region: String },
    Method { api: String, stage: String, path: String, method: String },
}

/// A key in a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName {
    pub account: String,
    pub region: String,
    pub plan: String,
    pub key: String,
}

/// One for the process; snapshots hand it on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Meters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// When the first request was limited: due times count from there.
    began: OnceLock<Instant>,
    buckets: Mutex<HashMap<Name, Arc<Bucket>>>,
    members: Mutex<HashMap<MemberName, Arc<Member>>>,
}

/// Two are the same if they share their budgets.
impl PartialEq for Meters {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buckets, members) = (lock(&self.0.buckets).len(), lock(&self.0.members).len());
        write!(f, "Meters({buckets} budgets, {members} keys of plans)")
    }
}

impl Meters {
    /// Nanoseconds on the clock of all budgets.
    #[inline]
    pub fn nanos(&self, now: Instant) -> u64 {
        let began = *self.0.began.get_or_init(|| now);
        u64::try_from(now.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX >> 1)
    }

    pub fn bucket(&self, name: Name) -> Arc<Bucket> {
        lock(&self.0.buckets).entry(name).or_default().clone()
    }

    /// What the key uses of the plan. Until it was restored nobody may count there.
    pub fn member(&self, name: &MemberName) -> Arc<Member> {
        let mut members = lock(&self.0.members);
        match members.get(name) {
            Some(known) => known.clone(),
            None => members.entry(name.clone()).or_default().clone(),
        }
    }

    /// The key that is counted by that name; None: nobody counts there, or not yet.
    pub fn counted(&self, name: &MemberName) -> Option<Arc<Member>> {
        lock(&self.0.members).get(name).filter(|member| member.is_restored()).cloned()
    }

    /// All keys of plans that were in use since they were last swept.
    pub fn members(&self) -> Vec<(MemberName, Arc<Member>)> {
        let members = lock(&self.0.members);
        members.iter().map(|(name, member)| (name.clone(), member.clone())).collect()
    }

    /// Forgets what no snapshot uses any more and `is_kept` has been written down.
    pub fn sweep(&self, is_kept: impl Fn(&Member) -> bool) {
        lock(&self.0.buckets).retain(|_, bucket| Arc::strong_count(bucket) > 1);
        lock(&self.0.members).retain(|_, member| Arc::strong_count(member) > 1 || !is_kept(member));
    }
}

/// A key in a plan: its budgets, and what it has used.
#[derive(Debug, Default)]
pub struct Member {
    /// Of the plan's own rate.
    pub bucket: Bucket,
    pub usage: Usage,
    /// Of the plan's methods with a rate of their own.
    methods: Mutex<HashMap<Name, Arc<Bucket>>>,
    book: Mutex<Book>,
}

/// What a request does not look at.
#[derive(Debug, Default)]
struct Book {
    /// `kept` has what was written down before this process counted.
    restored: bool,
    /// day → used, as far as it is written down
    kept: BTreeMap<u32, u64>,
    /// The quota by which the period is counted.
    quota: Option<Quota>,
}

impl Member {
    pub(super) fn method(&self, name: Name) -> Arc<Bucket> {
        lock(&self.methods).entry(name).or_default().clone()
    }

    /// Drops the budgets of methods that the plan does not name any more.
    pub(super) fn sweep_methods(&self) {
        lock(&self.methods).retain(|_, bucket| Arc::strong_count(bucket) > 1);
    }

    pub fn is_restored(&self) -> bool {
        lock(&self.book).restored
    }

    /// What was written down before this process counted: once, and before anybody counts.
    pub(super) fn restore(&self, kept: BTreeMap<u32, u64>) {
        let mut book = lock(&self.book);
        if book.restored {
            return;
        }
        for (day, used) in kept.iter().rev().take(2).rev() {
            self.usage.begin_day(Counted { day: *day, used: *used });
        }
        *book = Book { restored: true, kept, quota: None };
    }

    /// From now on the quota counts so. Another period than before begins with what the days tell; `anew`: the same
    /// one, too.
    pub(super) fn count_by(&self, quota: Option<Quota>, granted: Option<Granted>, anew: bool) {
        self.usage.grant(granted);
        let mut book = lock(&self.book);
        let same = |a: Quota, b: Quota| (a.period, a.offset) == (b.period, b.offset);
        let counts = !anew && book.quota.zip(quota).is_some_and(|(before, now)| same(before, now));
        book.quota = quota;
        let Some(quota) = quota.filter(|_| !counts) else { return };
        self.usage.begin_period(|| {
            let days = self.days_of(&book);
            let (today, _) = days.last_key_value()?;
            let day = quota.on(*today).first_day;
            Some(Counted { day, used: days.range(day..).map(|(_, used)| used).sum() })
        });
    }

    pub fn quota(&self) -> Option<Quota> {
        lock(&self.book).quota
    }

    /// day → used
    pub fn days(&self) -> BTreeMap<u32, u64> {
        self.days_of(&lock(&self.book))
    }

    fn days_of(&self, book: &Book) -> BTreeMap<u32, u64> {
        let mut days = book.kept.clone();
        days.extend(self.live());
        days
    }

    fn live(&self) -> impl Iterator<Item = (u32, u64)> {
        self.usage
            .days()
            .into_iter()
            .filter(|counted| counted.used > 0)
            .map(|counted| (counted.day, counted.used))
    }

    /// As far as it is written down.
    pub fn kept(&self) -> BTreeMap<u32, u64> {
        lock(&self.book).kept.clone()
    }

    /// What is not written down yet: day and all that was used on it.
    pub fn unkept(&self) -> Vec<(u32, u64)> {
        let book = lock(&self.book);
        self.live().filter(|(day, used)| book.kept.get(day) != Some(used)).collect()
    }

    /// It is written down now. Returns the days that are too old to be kept on.
    pub fn keep(&self, day: u32, used: u64) -> Vec<u32> {
        let mut book = lock(&self.book);
        book.kept.insert(day, used);
        let newest = book.kept.last_key_value().map_or(0, |(day, _)| *day);
        let kept = book.kept.split_off(&newest.saturating_sub(DAYS_KEPT - 1));
        std::mem::replace(&mut book.kept, kept).into_keys().collect()
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, plan, key } = self;
        write!(f, "{account}/{region}/{plan}/{key}")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QuotaPeriod;

    fn monthly(limit: u64) -> Option<Quota> {
        Some(Quota { limit, offset: 0, period: QuotaPeriod::Month })
    }

    /// 2026-11-02
    const MONDAY: u32 = 20_759;

    #[test]
    fn what_was_kept_counts_in_its_period() {
        let member = Member::default();
        let left = |quota: Quota| member.usage.remaining(quota.on(MONDAY));
        member.restore([(MONDAY - 2, 100), (MONDAY - 1, 3), (MONDAY, 4)].into());
        member.count_by(monthly(10), None, false);
        assert_eq!(left(monthly(10).unwrap()), 3, "October has gone");
        assert_eq!(member.unkept(), []);
        assert_eq!(member.usage.charge(monthly(10).map(|quota| quota.on(MONDAY)), MONDAY), Ok(()));
        assert_eq!(member.unkept(), [(MONDAY, 5)]);
        assert_eq!(member.keep(MONDAY, 5), [0_u32; 0]);
        assert_eq!(member.unkept(), []);
        let daily = Quota { limit: 10, offset: 0, period: QuotaPeriod::Day };
        member.count_by(Some(daily), None, false);
        assert_eq!(left(daily), 5, "another period, of the same days");
        member.count_by(monthly(10), None, false);
        assert_eq!(left(monthly(10).unwrap()), 2, "and back");
        assert_eq!(member.days(), [(MONDAY - 2, 100), (MONDAY - 1, 3), (MONDAY, 5)].into());
    }

    #[test]
    fn days_are_kept_for_so_long() {
        let member = Member::default();
        for day in 0..DAYS_KEPT {
            assert_eq!(member.keep(1000 + day, 1), [0_u32; 0]);
        }
        assert_eq!(member.keep(1000 + DAYS_KEPT, 1), [1000]);
        assert_eq!(member.days().len() as u32, DAYS_KEPT);
    }

    #[test]
    fn names_find_what_is_in_use() {
        let meters = Meters::default();
        let name = || Name::Account { account: "1".into(), region: "r".into() };
        let member =
            MemberName { account: "1".into(), region: "r".into(), plan: "p".into(), key: "k".into() };
        let (bucket, used) = (meters.bucket(name()), meters.member(&member));
        assert!(meters.counted(&member).is_none(), "nobody said what it used before");
        used.restore([(MONDAY, 3)].into());
        used.restore([(MONDAY, 7)].into());
        assert_eq!(used.days(), [(MONDAY, 3)].into(), "once");
        assert!(Arc::ptr_eq(&bucket, &meters.bucket(name())) && Arc::ptr_eq(&used, &meters.member(&member)));
        meters.sweep(|_| true);
        assert!(meters.counted(&member).is_some());
        drop((bucket, used));
        meters.sweep(|_| false);
        assert!(meters.counted(&member).is_some(), "what it used is not written down");
        meters.sweep(|_| true);
        assert!(meters.counted(&member).is_none());
    }
}
