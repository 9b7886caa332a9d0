//! Compiling touches no count, and no order of compiling, adopting, counting, writing down and sweeping loses one.

use super::super::*;
use crate::model::{PlanKey, QuotaPeriod, UsagePlan, UsagePlans};
use proptest::prelude::*;

/// 2026-11-30, a Monday.
const TODAY: u32 = 20_787;
const LIMIT: u64 = 1000;

fn quota(period: QuotaPeriod) -> Option<Quota> {
    Some(Quota { limit: LIMIT, offset: 0, period })
}

fn compiled(quota: Option<Quota>, meters: &Meters, before: Option<&Plans>) -> Plans {
    let keys = vec![PlanKey { id: "k".into(), granted: None }];
    let plan = UsagePlan { id: "p".into(), quota, keys, ..UsagePlan::default() };
    let made_from = Arc::new(UsagePlans { keys: Vec::new(), plans: vec![plan] });
    Plans::new(&made_from, meters.clone(), before, &[])
}

fn member(plans: &Plans) -> &Arc<Member> {
    &plans.table.counted[0].member
}

#[test]
fn a_plan_that_is_only_compiled_changes_nothing() {
    let meters = Meters::default();
    let running = compiled(quota(QuotaPeriod::Day), &meters, None);
    running.restore(|_| Ok::<_, ()>([(TODAY - 3, 40), (TODAY, 5)].into())).unwrap();
    running.begin(false);
    let left = |period| member(&running).usage.remaining(quota(period).unwrap().on(TODAY));
    assert_eq!(left(QuotaPeriod::Day), LIMIT - 5);
    let mut next = compiled(quota(QuotaPeriod::Month), &meters, Some(&running));
    assert_eq!(left(QuotaPeriod::Day), LIMIT - 5, "compiled");
    next.table = {
        let mut granted = UsagePlans::clone(&next.table.made_from);
        granted.plans[0].keys[0].granted =
            Some(Granted { first_day: QuotaPeriod::Month.first_day(0, TODAY), requests: 7 });
        compiled_from(granted, &meters).table
    };
    next.restore(|_| Err(())).expect("nobody reads what is counted already");
    assert_eq!(left(QuotaPeriod::Day), LIMIT - 5, "and about to be adopted");
    next.begin(false);
    assert_eq!(left(QuotaPeriod::Month), LIMIT + 7 - 45, "adopted");
    // The workers did not take it: the snapshot before serves again.
    running.begin(true);
    assert_eq!(left(QuotaPeriod::Day), LIMIT - 5, "and back");
}

fn compiled_from(made_from: UsagePlans, meters: &Meters) -> Plans {
    Plans::new(&Arc::new(made_from), meters.clone(), None, &[])
}

/// A process with its store, and what was really used.
#[derive(Default)]
struct Process {
    meters: Meters,
    running: Option<(Plans, Option<Quota>)>,
    candidate: Option<(Plans, Option<Quota>)>,
    store: BTreeMap<u32, u64>,
    used: BTreeMap<u32, u64>,
    today: u32,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Compile(Option<Quota>),
    Forget,
    Adopt,
    RemovePlan,
    Use,
    Write,
    Sweep,
    Restart,
    NextDay,
}

impl Process {
    fn goes(&mut self, step: Step) {
        match step {
            Step::Compile(quota) => {
                let before = self.running.as_ref().map(|(plans, _)| plans);
                self.candidate = Some((compiled(quota, &self.meters, before), quota));
            }
            Step::Forget => self.candidate = None,
            Step::Adopt => {
                let Some((next, quota)) = self.candidate.take() else { return };
                let store = &self.store;
                next.restore(|_| Ok::<_, ()>(store.clone())).unwrap();
                next.begin(false);
                self.running = Some((next, quota));
            }
            Step::RemovePlan => self.running = None,
            Step::Use => {
                let Some((plans, quota)) = &self.running else { return };
                let allowance = quota.map(|quota| quota.on(self.today));
                if member(plans).usage.charge(allowance, self.today).is_ok() {
                    *self.used.entry(self.today).or_default() += 1;
                }
            }
            Step::Write => {
                for (_, member) in self.meters.members() {
                    for (day, used) in member.unkept() {
                        self.store.insert(day, used);
                        member.keep(day, used);
                    }
                }
            }
            Step::Sweep => self.meters.sweep(|member| member.unkept().is_empty()),
            Step::Restart => {
                self.goes(Step::Write);
                (self.running, self.candidate) = (None, None);
                self.meters = Meters::default();
            }
            Step::NextDay => {
                // Twice a second in life, and days have two places.
                self.goes(Step::Write);
                self.today += 1;
            }
        }
    }

    fn is_exact(&self) {
        let Some((plans, quota)) = &self.running else { return };
        let days: BTreeMap<u32, u64> = member(plans).days();
        assert_eq!(days, self.used);
        if let Some(quota) = quota {
            let allowance = quota.on(self.today);
            let used: u64 = self.used.range(allowance.first_day..).map(|(_, used)| used).sum();
            assert_eq!(member(plans).usage.remaining(allowance), LIMIT - used);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let quotas = [None, quota(QuotaPeriod::Day), quota(QuotaPeriod::Week), quota(QuotaPeriod::Month)];
    prop_oneof![
        3 => prop::sample::select(quotas.to_vec()).prop_map(Step::Compile),
        1 => Just(Step::Forget),
        4 => Just(Step::Adopt),
        1 => Just(Step::RemovePlan),
        8 => Just(Step::Use),
        3 => Just(Step::Write),
        3 => Just(Step::Sweep),
        1 => Just(Step::Restart),
        1 => Just(Step::NextDay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn no_order_loses_or_invents_usage(steps in prop::collection::vec(step(), 1..80)) {
        let mut process = Process { today: TODAY, ..Process::default() };
        for step in steps {
            process.goes(step);
            process.is_exact();
        }
        process.goes(Step::Write);
        prop_assert_eq!(process.store, process.used);
    }
}
