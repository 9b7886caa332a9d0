//! Usage: what each key of a plan has used, day by day, and how much is left. The data plane counts; its counts are
//! written down before they are asked for.

use super::api_key::ApiKey;
use super::patch::{self, Kind, Rule, replace};
use super::usage_plan::{self, UsagePlan};
use super::{Answer, Call, Fault, parsed};
use crate::model::{self, Date, Granted, MethodPath, PlanKey, PlanStage, QuotaPeriod};
use crate::store::Failed;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// What is said to be left where a plan has no quota.
const NO_QUOTA: u64 = i32::MAX as u64;
/// Days that are told at once.
const DAYS_MAX: u32 = 366;
/// Objects that the data plane's keys and plans are made of, as the store names them.
pub const KINDS: [&str; 4] = ["apikeys/", "usageplans/", "usageplankeys/", "usagegrants/"];

/// Where it stands what a key of a plan has used on a day. `owner`: `{account}/{region}/{plan}/{key}`.
pub fn used_key(owner: &str, day: u32) -> String {
    format!("usage/{owner}/{}", Date::of(day))
}

/// What `used_key` names. None: it is no such key, or damaged.
pub fn used_on(key: &str, value: &[u8]) -> Option<(u32, u64)> {
    let (_, date) = key.rsplit_once('/')?;
    Some((Date::parse(date)?.number(), serde_json::from_slice(value).ok()?))
}

const RULES: &[Rule] = &[replace("/remaining", Kind::Integer)];

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let plan = usage_plan::load(call)?;
    let date = |name: &str| {
        let text = call.asked(name).unwrap_or_default();
        let wrong = || {
            Fault::bad_request(format!("Invalid {name} specified: {text}. Must be of the form yyyy-MM-dd"))
        };
        Date::parse(text).ok_or_else(wrong)
    };
    let (start, end) = (date("startDate")?, date("endDate")?);
    if end < start {
        return Err(Fault::bad_request("Invalid date range specified: endDate is before startDate"));
    }
    if end.number() - start.number() >= DAYS_MAX {
        return Err(Fault::bad_request(format!("Invalid date range specified: at most {DAYS_MAX} days")));
    }
    let below = format!("{}/", call.key("usageplankeys", &[&plan.id]));
    let (keys, position) = match call.asked("keyId") {
        Some(key) => {
            usage_plan::is_of(call, &plan.id, key)?;
            (vec![key.to_owned()], None)
        }
        None => {
            let after = call.asked("position").map_or(String::new(), |position| format!("{below}{position}"));
            let page = call.tx.page(&below, &after, call.limit()?)?;
            let keys: Vec<String> =
                page.entries.iter().map(|(key, _)| key[below.len()..].to_owned()).collect();
            let position = keys.last().filter(|_| page.more).cloned();
            (keys, position)
        }
    };
    told(call, &plan, (start.number(), end.number()), keys, position)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateUsageInput")?;
    let plan = usage_plan::load(call)?;
    let key = call.label(1).to_owned();
    usage_plan::is_of(call, &plan.id, &key)?;
    let today = u32::try_from(call.now / 86_400).unwrap_or(0);
    for operation in &operations {
        let mut usage = json!({ "remaining": 0 });
        patch::apply(&mut usage, RULES, patch::Dialect::Listed, operation)?;
        let wrong = || {
            let value = operation.value.as_deref().unwrap_or("null");
            Fault::bad_request(format!("Invalid remaining quota specified: {value}. Must be 0 or more"))
        };
        let remaining = usage["remaining"].as_i64().filter(|left| (0..=i64::from(i32::MAX)).contains(left));
        let remaining = remaining.ok_or_else(wrong)?;
        let quota = plan.model_quota().ok_or_else(|| {
            Fault::bad_request(format!("Usage Plan {} has no quota that could be extended", plan.id))
        })?;
        let first_day = quota.on(today).first_day;
        let used: u64 = used(call, &plan, &key)?.range(first_day..).map(|(_, used)| used).sum();
        let limit = i64::try_from(quota.limit).unwrap_or(i64::MAX);
        let requests = remaining.saturating_add_unsigned(used).saturating_sub(limit);
        call.save(call.key("usagegrants", &[&plan.id, &key]), &Granted { first_day, requests })?;
    }
    told(call, &plan, (today, today), vec![key], None)
}

fn told(
    call: &Call<'_>,
    plan: &UsagePlan,
    (start, end): (u32, u32),
    keys: Vec<String>,
    position: Option<String>,
) -> Result<Answer, Fault> {
    let quota = plan.model_quota();
    let mut values = serde_json::Map::new();
    for key in keys {
        let used = used(call, plan, &key)?;
        let granted: Option<Granted> = call.load(&call.key("usagegrants", &[&plan.id, &key]))?;
        let day = |day: u32| {
            let left = quota.map_or(NO_QUOTA, |quota| {
                let first = quota.on(day).first_day;
                let spent = used.range(first..=day).map(|(_, used)| used).sum();
                let more = granted.filter(|granted| granted.first_day == first);
                let more = more.map_or(0, |granted| granted.requests);
                quota.limit.saturating_add_signed(more).saturating_sub(spent)
            });
            json!([used.get(&day).copied().unwrap_or(0), left])
        };
        values.insert(key, (start..=end).map(day).collect());
    }
    let mut usage = json!({
        "endDate": Date::of(end).to_string(),
        "startDate": Date::of(start).to_string(),
        "usagePlanId": plan.id,
        "values": values,
    });
    if let (Some(position), Some(map)) = (position, usage.as_object_mut()) {
        map.insert("position".into(), position.into());
        map.sort_keys();
    }
    Ok(Answer::Json(usage))
}

/// day → used
fn used(call: &Call<'_>, plan: &UsagePlan, key: &str) -> Result<BTreeMap<u32, u64>, Fault> {
    let all = call.tx.all(&format!("{}/", call.key("usage", &[&plan.id, key])))?;
    Ok(all.iter().filter_map(|(key, value)| used_on(key, value)).collect())
}

/// Keys and plans for the data plane, from the objects below `KINDS` (key and JSON).
pub fn plans(objects: &[(String, Vec<u8>)]) -> Result<model::UsagePlans, Failed> {
    let failed = |fault: Fault| Failed(fault.message);
    let mut plans = model::UsagePlans::default();
    let mut keys: HashMap<String, Vec<PlanKey>> = HashMap::new();
    let mut grants: HashMap<String, Granted> = HashMap::new();
    // Kinds come in the order of their names: what belongs to a plan behind it is gathered first.
    for (key, value) in objects {
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["usagegrants", owner @ ..] => {
                grants.insert(owner.join("/"), parsed(key, value).map_err(failed)?);
            }
            ["usageplankeys", account, region, plan, id] => {
                let of_plan = keys.entry(format!("{account}/{region}/{plan}")).or_default();
                of_plan.push(PlanKey { id: (*id).to_owned(), granted: None });
            }
            _ => {}
        }
    }
    for (key, value) in objects {
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["apikeys", account, region, _] => {
                let key: ApiKey = parsed(key, value).map_err(failed)?;
                plans.keys.push(model::ApiKey {
                    account: (*account).to_owned(),
                    region: (*region).to_owned(),
                    id: key.id,
                    name: key.name.unwrap_or_default(),
                    value: key.value,
                    enabled: key.enabled,
                });
            }
            ["usageplans", account, region, id] => {
                let plan: UsagePlan = parsed(key, value).map_err(failed)?;
                let owner = format!("{account}/{region}/{id}");
                let mut members = keys.remove(&owner).unwrap_or_default();
                for member in &mut members {
                    member.granted = grants.get(&format!("{owner}/{}", member.id)).copied();
                }
                plans.plans.push(lowered(plan, (account, region), members));
            }
            _ => {}
        }
    }
    Ok(plans)
}

fn lowered(plan: UsagePlan, (account, region): (&str, &str), keys: Vec<PlanKey>) -> model::UsagePlan {
    let quota = plan.model_quota();
    let stage = |stage: usage_plan::ApiStage| PlanStage {
        api_id: stage.api_id,
        stage: stage.stage,
        throttles: stage
            .throttle
            .iter()
            .filter_map(|(path, throttle)| Some((MethodPath::parse(path)?, throttle.model())))
            .collect(),
    };
    model::UsagePlan {
        account: account.to_owned(),
        region: region.to_owned(),
        id: plan.id,
        name: plan.name,
        throttle: plan.throttle.map(|throttle| throttle.model()),
        quota,
        stages: plan.api_stages.into_iter().map(stage).collect(),
        keys,
    }
}

impl UsagePlan {
    fn model_quota(&self) -> Option<model::Quota> {
        let quota = self.quota.as_ref()?;
        Some(model::Quota {
            limit: u64::try_from(quota.limit).unwrap_or(0),
            offset: u32::try_from(quota.offset).unwrap_or(0),
            period: QuotaPeriod::parse(&quota.period)?,
        })
    }
}

impl usage_plan::Throttle {
    fn model(&self) -> model::Throttle {
        model::Throttle { rate_limit: self.rate_limit, burst_limit: self.burst_limit }
    }
}

/// Takes what is known of a key's use away, of all plans or of one.
pub(super) fn forget(call: &mut Call<'_>, plan: Option<&str>, key: Option<&str>) -> Result<(), Fault> {
    for kind in ["usage", "usagegrants"] {
        let prefix = match plan {
            Some(plan) => format!("{}/", call.key(kind, &[plan])),
            None => format!("{}/", call.key(kind, &[])),
        };
        for (found, _) in call.tx.all(&prefix)? {
            let of_key = key.is_none_or(|key| found.split('/').nth(4) == Some(key));
            if of_key {
                call.tx.remove(found);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn object(key: &str, value: Value) -> (String, Vec<u8>) {
        (key.to_owned(), value.to_string().into_bytes())
    }

    #[test]
    fn stored_objects_are_the_data_planes_plans() {
        let plans = plans(&[
            object("apikeys/1/r/k1", json!({"id": "k1", "value": "v1", "enabled": true, "name": "one"})),
            object("usagegrants/1/r/p1/k1", json!({"first_day": 20_000, "requests": -5})),
            object("usageplankeys/1/r/p1/k1", json!({"id": "k1"})),
            object("usageplankeys/1/other/p1/k2", json!({"id": "k2"})),
            object(
                "usageplans/1/r/p1",
                json!({"id": "p1", "name": "gold", "quota": {"limit": 10, "offset": 1, "period": "WEEK"},
                    "throttle": {"rateLimit": 2.5, "burstLimit": 5},
                    "apiStages": [{"apiId": "a", "stage": "prod",
                        "throttle": {"/pets/GET": {"rateLimit": 1.0, "burstLimit": 2}}}]}),
            ),
        ])
        .unwrap();
        let granted = Some(Granted { first_day: 20_000, requests: -5 });
        let [plan] = plans.plans.as_slice() else { panic!("{plans:?}") };
        assert_eq!(plan.keys, [PlanKey { id: "k1".into(), granted }]);
        let quota = model::Quota { limit: 10, offset: 1, period: QuotaPeriod::Week };
        assert_eq!((plan.quota, plan.throttle.unwrap().rate_limit), (Some(quota), 2.5));
        let path = MethodPath::One { path: "/pets".into(), method: "GET".into() };
        assert_eq!(plan.stages[0].throttles[&path].burst_limit, 2);
        assert_eq!((plans.keys[0].value.as_str(), plans.keys[0].enabled), ("v1", true));
        assert!(super::plans(&[object("apikeys/1/r/k1", json!(5))]).is_err());
    }

    #[test]
    fn days_stand_under_their_dates() {
        let key = used_key("1/r/p/k", 20_787);
        assert_eq!(key, "usage/1/r/p/k/2026-11-30");
        assert_eq!(used_on(&key, b"17"), Some((20_787, 17)));
        assert_eq!(used_on(&key, b"x"), None);
    }
}
