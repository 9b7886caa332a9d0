//! Usage plans with their keys, and what those have used, for `gateway plans`.

use super::node::Node;
use super::types::{KeyShown, Problem, QuotaShown, UsagePlanList, UsagePlanShown};
use crate::guard::meters::MemberName;
use crate::model::{ApiKey, Date, PlanKey, Quota, UsagePlan};
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is told is written down: a kill does not take it back.
pub(super) async fn list(node: &Node) -> Result<UsagePlanList, Problem> {
    node.aws.flush_usage().await.map_err(|failed| {
        let what = format!("what API keys have used is not written down: {failed}");
        Problem::host(what, "look at the free space and the gateway's log")
    })?;
    let running = node.running();
    let plans = &running.snapshot.plans;
    let told = plans.told();
    let keys: HashMap<_, &ApiKey> =
        told.keys.iter().map(|key| ((&*key.account, &*key.region, &*key.id), key)).collect();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let today = u32::try_from(since_epoch.as_secs() / 86_400).unwrap_or(0);
    let key = |plan: &UsagePlan, of: &PlanKey| {
        let known = keys.get(&(&*plan.account, &*plan.region, &*of.id));
        let member = plans.meters.member(&MemberName {
            account: plan.account.clone(),
            region: plan.region.clone(),
            plan: plan.id.clone(),
            key: of.id.clone(),
        });
        KeyShown {
            id: of.id.clone(),
            name: known.map(|key| key.name.clone()).unwrap_or_default(),
            enabled: known.is_some_and(|key| key.enabled),
            used_today: member.days().get(&today).copied().unwrap_or(0),
            remaining: plan.quota.map(|quota| member.usage.remaining(quota.on(today))),
        }
    };
    let plan = |plan: &UsagePlan| {
        let throttle = plan.throttle.filter(|throttle| !throttle.is_unlimited());
        UsagePlanShown {
            id: plan.id.clone(),
            name: plan.name.clone(),
            account: plan.account.clone(),
            region: plan.region.clone(),
            stages: plan.stages.iter().map(|stage| format!("{}/{}", stage.api_id, stage.stage)).collect(),
            rate_limit: throttle.map(|throttle| throttle.rate_limit),
            burst_limit: throttle.map(|throttle| throttle.burst_limit),
            quota: plan.quota.map(|quota| shown(quota, today)),
            keys: plan.keys.iter().map(|of| key(plan, of)).collect(),
        }
    };
    Ok(UsagePlanList { plans: told.plans.iter().map(plan).collect() })
}

fn shown(Quota { limit, offset, period }: Quota, today: u32) -> QuotaShown {
    let first = period.first_day(offset, today);
    QuotaShown {
        limit,
        period: period.as_str().to_owned(),
        offset,
        began: Date::of(first).to_string(),
        ends: Date::of(period.next_first_day(offset, first)).to_string(),
    }
}
