//! UsagePlan and its keys: who may call which stages how often.

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Operation, Rule, optional, replace};
use super::{Answer, Call, Fault, Fields, answer, api_key, patched, shown, usage};
use crate::model::MethodPath;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PLANS_MAX: usize = 1000;
const KEYS_MAX: usize = 10_000;
/// Methods with a rate of their own: each key has a budget for each of them.
const THROTTLES_MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UsagePlan {
    pub(crate) api_stages: Vec<ApiStage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<Quota>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) throttle: Option<Throttle>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ApiStage {
    pub(crate) api_id: String,
    pub(crate) stage: String,
    /// `/pets/GET` → its own limits
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) throttle: BTreeMap<String, Throttle>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Quota {
    pub(crate) limit: i64,
    pub(crate) offset: i64,
    pub(crate) period: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Throttle {
    pub(crate) burst_limit: i64,
    pub(crate) rate_limit: f64,
}

const RULES: &[Rule] = &[
    replace("/name", Kind::Text),
    optional("/description", Kind::Text),
    optional("/productCode", Kind::Text),
    optional("/throttle/rateLimit", Kind::Number),
    optional("/throttle/burstLimit", Kind::Integer),
    optional("/throttle", Kind::Text),
    optional("/quota/limit", Kind::Integer),
    optional("/quota/offset", Kind::Integer),
    optional("/quota/period", Kind::Text),
    optional("/quota", Kind::Text),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let mut api_stages = Vec::new();
    for stage in fields.objects("apiStages")? {
        let part = |name| stage.text(name).map(Option::unwrap_or_default);
        let limits = stage.object("throttle")?.map(|limits| limits.each(throttle_of)).transpose()?;
        api_stages.push(ApiStage {
            api_id: part("apiId")?,
            stage: part("stage")?,
            throttle: limits.unwrap_or_default(),
        });
    }
    let plan = UsagePlan {
        api_stages,
        description: fields.text("description")?,
        id: call.new_id("usageplans", &[], 6)?,
        name: fields.text("name")?.unwrap_or_default(),
        product_code: None,
        quota: fields.object("quota")?.map(|quota| quota_of(&quota)).transpose()?,
        tags: fields.map("tags")?,
        throttle: fields.object("throttle")?.map(|throttle| throttle_of(&throttle)).transpose()?,
    };
    call.room_below(&call.key("usageplans", &[]), PLANS_MAX, "usage plans")?;
    check(call, &plan)?;
    call.save(call.key("usageplans", &[&plan.id]), &plan)?;
    answer(&plan)
}

fn quota_of(fields: &Fields) -> Result<Quota, Fault> {
    Ok(Quota {
        limit: fields.integer("limit")?.unwrap_or(0),
        offset: fields.integer("offset")?.unwrap_or(0),
        period: fields.text("period")?.unwrap_or_default(),
    })
}

fn throttle_of(fields: &Fields) -> Result<Throttle, Fault> {
    Ok(Throttle {
        burst_limit: fields.integer("burstLimit")?.unwrap_or(0),
        rate_limit: fields.number("rateLimit")?.unwrap_or(0.0),
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let Some(key) = call.asked("keyId") else {
        return call.list(&call.key("usageplans", &[]), |plan: UsagePlan| shown(&plan));
    };
    let mut items = Vec::new();
    for plan in call.below::<UsagePlan>(&call.key("usageplans", &[]))? {
        if call.tx.get(&call.key("usageplankeys", &[&plan.id, key]))?.is_some() {
            items.push(shown(&plan)?);
        }
    }
    Ok(super::collection(items, None))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateUsagePlanInput")?;
    let mut plan = load(call)?;
    for operation in &operations {
        plan = match operation.segments().first().map(String::as_str) {
            Some("apiStages") => stages(plan, operation)?,
            _ => patched(&plan, RULES, Dialect::Listed, std::slice::from_ref(operation))?,
        };
    }
    check(call, &plan)?;
    call.save(call.key("usageplans", &[&plan.id]), &plan)?;
    answer(&plan)
}

/// `add /apiStages api:stage`, and `/apiStages/{api:stage}/throttle/{path}/{METHOD}/rateLimit`.
fn stages(mut plan: UsagePlan, operation: &Operation) -> Result<UsagePlan, Fault> {
    let segments = operation.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let value = operation.value.as_deref().unwrap_or_default();
    let invalid = || Fault::bad_request(format!("Invalid patch path {}", operation.path));
    let at = |plan: &UsagePlan, name: &str| {
        let (api, stage) = name.split_once(':')?;
        plan.api_stages.iter().position(|known| known.api_id == api && known.stage == stage)
    };
    let unknown = |name: &str| {
        let (api, stage) = name.split_once(':').unwrap_or((name, ""));
        let id = &plan.id;
        Fault::not_found(format!(
            "Invalid API Stage {{api: {api}, stage: {stage}}} specified for usageplan {id}"
        ))
    };
    match (segments.as_slice(), operation.op.as_str()) {
        (["apiStages"], "add") => {
            let wrong = || Fault::bad_request("Invalid API Stage specified");
            let (api, stage) = value.split_once(':').ok_or_else(wrong)?;
            if at(&plan, value).is_none() {
                let (api_id, stage) = (api.to_owned(), stage.to_owned());
                plan.api_stages.push(ApiStage { api_id, stage, throttle: BTreeMap::new() });
            }
        }
        (["apiStages"], "remove") => {
            let found = at(&plan, value).ok_or_else(|| unknown(value))?;
            plan.api_stages.remove(found);
        }
        (["apiStages", name, "throttle", ..], op) => {
            let found = at(&plan, name).ok_or_else(|| unknown(name))?;
            let limits = &mut plan.api_stages[found].throttle;
            match (&segments[3..], op) {
                ([], "remove") => limits.clear(),
                ([path, method], "remove") => drop(limits.remove(&format!("{path}/{method}"))),
                ([path, method, limit], "add" | "replace") => {
                    let entry = limits.entry(format!("{path}/{method}")).or_default();
                    match *limit {
                        "rateLimit" => {
                            let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite());
                            entry.rate_limit = rate.ok_or_else(invalid)?;
                        }
                        "burstLimit" => entry.burst_limit = value.parse().map_err(|_| invalid())?,
                        _ => return Err(invalid()),
                    }
                }
                _ => return Err(invalid()),
            }
        }
        _ => return Err(invalid()),
    }
    Ok(plan)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let plan = load(call)?;
    if !plan.api_stages.is_empty() {
        return Err(Fault::bad_request(format!(
            "Cannot delete Usage Plan {} because there are API stages associated to it",
            plan.id
        )));
    }
    call.remove_below(&call.key("usageplankeys", &[&plan.id]))?;
    usage::forget(call, Some(&plan.id), None)?;
    call.tx.remove(call.key("usageplans", &[&plan.id]));
    Ok(Answer::Nothing)
}

pub(super) fn add_key(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let plan = load(call)?.id;
    let key = api_key::load(call, &fields.text("keyId")?.unwrap_or_default())?;
    attach(call, &plan, &key)?;
    Ok(Answer::Json(shown_key(&key)))
}

/// The key is one of that plan's from now on.
pub(super) fn attach(call: &mut Call<'_>, plan: &str, key: &api_key::ApiKey) -> Result<(), Fault> {
    if call.tx.get(&call.key("usageplans", &[plan]))?.is_none() {
        return Err(Fault::not_found("Invalid Usage Plan ID specified"));
    }
    let plan = plan.to_owned();
    let place = call.key("usageplankeys", &[&plan, &key.id]);
    if call.tx.get(&place)?.is_some() {
        return Err(Fault::conflict("Usage Plan Key already exists"));
    }
    call.room_below(&call.key("usageplankeys", &[&plan]), KEYS_MAX, "keys of this usage plan")?;
    call.save(place, &json!({ "id": key.id }))
}

pub(super) fn key(call: &mut Call<'_>) -> Result<Answer, Fault> {
    key_of_plan(call)?;
    api_key::load(call, call.label(1)).map(|key| Answer::Json(shown_key(&key)))
}

pub(super) fn list_keys(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let plan = load(call)?.id;
    call.list(&call.key("usageplankeys", &[&plan]), |place: Value| {
        api_key::load(call, place["id"].as_str().unwrap_or_default()).map(|key| shown_key(&key))
    })
}

pub(super) fn remove_key(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let place = key_of_plan(call)?;
    call.tx.remove(place);
    Ok(Answer::Nothing)
}

fn key_of_plan(call: &Call<'_>) -> Result<String, Fault> {
    let plan = load(call)?.id;
    is_of(call, &plan, call.label(1))?;
    Ok(call.key("usageplankeys", &[&plan, call.label(1)]))
}

/// Err: the plan has no such key.
pub(super) fn is_of(call: &Call<'_>, plan: &str, key: &str) -> Result<(), Fault> {
    let found = call.tx.get(&call.key("usageplankeys", &[plan, key]))?;
    found.map(drop).ok_or_else(|| Fault::not_found("Invalid Usage Plan Key identifier specified"))
}

fn shown_key(key: &api_key::ApiKey) -> Value {
    let mut value = json!({ "id": key.id, "name": key.name, "type": "API_KEY", "value": key.value });
    if let Some(map) = value.as_object_mut().filter(|_| key.name.is_none()) {
        map.remove("name");
    }
    value
}

pub(super) fn load(call: &Call<'_>) -> Result<UsagePlan, Fault> {
    let found = call.load(&call.key("usageplans", &[call.label(0)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Usage Plan ID specified"))
}

fn check(call: &Call<'_>, plan: &UsagePlan) -> Result<(), Fault> {
    if plan.name.is_empty() {
        return Err(Fault::bad_request("Usage Plan name cannot be empty"));
    }
    for stage in &plan.api_stages {
        if call.tx.get(&call.key("stages", &[&stage.api_id, &stage.stage]))?.is_none() {
            return Err(Fault::not_found(format!(
                "Invalid API Stage {{api: {}, stage: {}}} specified for usageplan {}",
                stage.api_id, stage.stage, plan.id
            )));
        }
    }
    if plan.api_stages.iter().map(|stage| stage.throttle.len()).sum::<usize>() > THROTTLES_MAX {
        return Err(Fault::limit("method throttles of a usage plan"));
    }
    for path in plan.api_stages.iter().flat_map(|stage| stage.throttle.keys()) {
        if !matches!(MethodPath::parse(path), Some(MethodPath::One { .. })) {
            return Err(Fault::bad_request(format!("Invalid method specified for throttle: {path}")));
        }
    }
    let Some(quota) = &plan.quota else { return Ok(()) };
    if quota.limit < 0 {
        return Err(Fault::bad_request("Usage Plan quota limit must be 0 or more"));
    }
    let mut violations = Violations::default();
    violations.one_of(Some(&quota.period), "createUsagePlanInput.quota.period", &["WEEK", "MONTH", "DAY"]);
    violations.finish()?;
    let most = match quota.period.as_str() {
        "WEEK" => 6,
        "MONTH" => 27,
        _ => 0,
    };
    match (0..=most).contains(&quota.offset) {
        true => Ok(()),
        false => Err(Fault::bad_request(format!("Usage Plan quota offset must be between 0 and {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::Bench;
    use serde_json::{Value, json};

    #[test]
    fn a_plan_goes_with_all_that_it_had_once_it_has_no_stage() {
        let bench = Bench::default();
        let api = bench.api();
        bench.stage(&api, "prod");
        let stages = json!([{ "apiId": api, "stage": "prod" }]);
        let quota = json!({ "limit": 5, "period": "DAY" });
        let plan = json!({ "name": "gold", "apiStages": stages, "quota": quota });
        let plan = bench.ask("POST", "/usageplans", plan).unwrap()["id"].as_str().unwrap().to_owned();
        let key = bench.ask("POST", "/apikeys", json!({ "name": "k" })).unwrap()["id"].clone();
        let key = key.as_str().unwrap();
        let one = format!("/usageplans/{plan}");
        bench.ask("POST", &format!("{one}/keys"), json!({ "keyId": key, "keyType": "API_KEY" })).unwrap();
        let patch = |op: &str, path: &str, value: &str| {
            let operation = json!({ "op": op, "path": path, "value": value });
            json!({ "patchOperations": [operation] })
        };
        bench.ask("PATCH", &format!("{one}/keys/{key}/usage"), patch("replace", "/remaining", "9")).unwrap();
        let granted = format!("usagegrants/000000000000/us-east-1/{plan}/{key}");
        assert!(bench.stored(&granted).is_some());
        assert_eq!(
            bench.refused("DELETE", &one, Value::Null),
            format!(
                "400 BadRequestException Cannot delete Usage Plan {plan} because there are API stages \
                 associated to it"
            )
        );
        bench.ask("PATCH", &one, patch("remove", "/apiStages", &format!("{api}:prod"))).unwrap();
        bench.ask("DELETE", &one, Value::Null).unwrap();
        let member = format!("usageplankeys/000000000000/us-east-1/{plan}/{key}");
        assert_eq!((bench.stored(&granted), bench.stored(&member)), (None, None));
        assert_eq!(
            bench.refused("GET", &one, Value::Null),
            "404 NotFoundException Invalid Usage Plan ID specified"
        );
    }
}
