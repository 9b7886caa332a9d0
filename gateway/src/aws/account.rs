//! Account, and tags.

use super::patch::{self, Dialect, Kind, Rule, items, replace};
use super::{Answer, Call, Fault, RESERVED_TAGS, answer, patched, rest_api};
use crate::model::Throttle;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

const TAGS_MAX: usize = 50;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Account {
    api_key_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloudwatch_role_arn: Option<String>,
    features: Vec<String>,
    throttle_settings: Throttle,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            api_key_version: "4".into(),
            cloudwatch_role_arn: None,
            features: vec!["UsagePlans".into()],
            throttle_settings: Throttle::ACCOUNT,
        }
    }
}

const RULES: &[Rule] = &[replace("/cloudwatchRoleArn", Kind::Text), items("/features", Kind::ItemValue)];

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateAccountInput")?;
    let mut account: Account = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    account.cloudwatch_role_arn = account.cloudwatch_role_arn.filter(|arn| !arn.is_empty());
    if let Some(arn) = account.cloudwatch_role_arn.as_deref()
        && !(arn.starts_with("arn:") && arn.contains(":role/"))
    {
        return Err(Fault::bad_request("The role ARN does not have required permissions configured."));
    }
    call.save(call.key("account", &[]), &account)?;
    answer(&account)
}

fn load(call: &Call<'_>) -> Result<Account, Fault> {
    let mut account: Account = call.load(&call.key("account", &[]))?.unwrap_or_default();
    // The node's, whatever was stored.
    account.throttle_settings = call.throttle;
    Ok(account)
}

pub(super) fn tags(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let key = tagged(call)?;
    let object: serde_json::Value = call.load(&key)?.unwrap_or_default();
    let tags = object.get("tags").cloned().unwrap_or_else(|| json!({}));
    Ok(Answer::Json(json!({ "tags": tags })))
}

pub(super) fn tag(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let wanted = call.fields()?.map("tags")?.unwrap_or_default();
    if let Some(name) = wanted.keys().find(|name| rest_api::reserved(name)) {
        return Err(Fault::bad_request(format!(
            "Tags that begin with {RESERVED_TAGS} are the gateway's: {name}"
        )));
    }
    retag(call, |tags| tags.extend(wanted))
}

pub(super) fn untag(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let gone: Vec<String> = call.asked_all("tagKeys").map(str::to_owned).collect();
    retag(call, |tags| tags.retain(|name, _| !gone.contains(name)))
}

fn retag(call: &mut Call<'_>, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<Answer, Fault> {
    let key = tagged(call)?;
    if let Some(api) = api_of(call.label(0)) {
        call.may_write(api)?;
    }
    let mut object: serde_json::Value = call.load(&key)?.unwrap_or_default();
    let mut tags: BTreeMap<String, String> =
        object.get("tags").and_then(|tags| serde_json::from_value(tags.clone()).ok()).unwrap_or_default();
    change(&mut tags);
    if tags.len() > TAGS_MAX {
        return Err(Fault::bad_request(format!("A resource can have at most {TAGS_MAX} tags")));
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("tags".into(), json!(tags));
        map.sort_keys();
    }
    call.save(key, &object)?;
    Ok(Answer::Nothing)
}

/// The API that an ARN is about.
fn api_of(arn: &str) -> Option<&str> {
    let (_, rest) = arn.split_once("/restapis/")?;
    rest.split('/').next()
}

/// The key of what an ARN names: `arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/prod`. Those of private
/// domain names have an account, too.
fn tagged(call: &Call<'_>) -> Result<String, Fault> {
    let arn = call.label(0);
    let path = arn.split_once(":/").map(|(_, path)| path);
    let invalid = || Fault::not_found(format!("Invalid resource ARN specified: {arn}"));
    let parts: Vec<&str> = path.ok_or_else(invalid)?.split('/').collect();
    let (kind, names) = match parts.as_slice() {
        ["restapis", id] => ("apis", vec![*id]),
        ["restapis", id, "stages", stage] => ("stages", vec![*id, *stage]),
        ["apikeys", id] => ("apikeys", vec![*id]),
        ["usageplans", id] => ("usageplans", vec![*id]),
        ["domainnames", name] => ("domainnames", vec![*name]),
        ["vpclinks", id] => ("vpclinks", vec![*id]),
        ["clientcertificates", id] => ("clientcertificates", vec![*id]),
        ["domainnameaccessassociations", ..] => ("associations", vec![arn]),
        _ => return Err(invalid()),
    };
    let key = call.key(kind, &names);
    call.tx.get(&key)?.map(|_| key).ok_or_else(invalid)
}
