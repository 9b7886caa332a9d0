//! ApiKey: what a client of an API identifies itself with. Kept and told; usage plans that ask for one come later.

use super::patch::{self, Dialect, Kind, Rule, items, replace};
use super::{Answer, Call, Fault, answer, patched, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KEYS_MAX: usize = 10_000;
const IMPORTED_MAX: usize = 10_000;
const VALUE_LENGTH: usize = 40;
const VALUE_MIN: usize = 20;
const VALUE_MAX: usize = 128;
const NAME_MAX: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ApiKey {
    pub(crate) created_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) id: String,
    pub(crate) last_updated_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) stage_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    pub(crate) value: String,
}

const RULES: &[Rule] = &[
    replace("/name", Kind::Text),
    replace("/description", Kind::Text),
    replace("/enabled", Kind::Flag),
    replace("/customerId", Kind::Text),
    items("/labels", Kind::ItemValue),
    items("/stages", Kind::ItemValue),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let mut stage_keys = Vec::new();
    for stage in fields.objects("stageKeys")? {
        let part = |name| stage.text(name).map(Option::unwrap_or_default);
        stage_keys.push(format!("{}/{}", part("restApiId")?, part("stageName")?));
    }
    let key = ApiKey {
        created_date: call.now,
        customer_id: fields.text("customerId")?,
        description: fields.text("description")?,
        enabled: fields.flag("enabled")?.unwrap_or(false),
        last_updated_date: call.now,
        name: fields.text("name")?,
        stage_keys,
        tags: fields.map("tags")?,
        value: fields.text("value")?.unwrap_or_default(),
        ..ApiKey::default()
    };
    let key = add(call, key)?;
    answer(&key)
}

/// Draws what is missing. A value is one key's.
fn add(call: &mut Call<'_>, mut key: ApiKey) -> Result<ApiKey, Fault> {
    check(&key)?;
    if key.value.is_empty() {
        key.value = (call.draw)(VALUE_LENGTH)?;
    }
    if !(VALUE_MIN..=VALUE_MAX).contains(&key.value.len()) {
        return Err(Fault::bad_request(match key.value.len() > VALUE_MAX {
            true => format!("API Key value exceeds maximum size of {VALUE_MAX} characters"),
            false => format!("API Key value should be at least {VALUE_MIN} characters"),
        }));
    }
    let all: Vec<ApiKey> = call.below(&call.key("apikeys", &[]))?;
    if all.len() >= KEYS_MAX {
        return Err(Fault::limit("API keys"));
    }
    if all.iter().any(|other| other.value == key.value) {
        return Err(Fault::conflict("API Key already exists"));
    }
    key.id = call.new_id("apikeys", &[], 10)?;
    call.save(call.key("apikeys", &[&key.id]), &key)?;
    Ok(key)
}

/// `POST /apikeys?mode=import&format=csv`: a first line of column names, then one key a line.
pub(super) fn import(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fail = call.asked("failonwarnings") == Some("true");
    let text = String::from_utf8_lossy(call.body).into_owned();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let head: Vec<String> = lines
        .next()
        .ok_or_else(|| Fault::bad_request("The CSV file is empty"))?
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let column = |name: &str| head.iter().position(|found| found == name);
    let value = column("key").ok_or_else(|| Fault::bad_request("The CSV file has no column `key`"))?;
    let (mut ids, mut warnings) = (Vec::new(), Vec::new());
    for (line, number) in lines.take(IMPORTED_MAX).zip(2..) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).filter(|cell| !cell.is_empty());
        let key = ApiKey {
            created_date: call.now,
            description: cell(column("description")).map(|text| (*text).to_owned()),
            enabled: cell(column("enabled")).is_none_or(|text| text.eq_ignore_ascii_case("true")),
            last_updated_date: call.now,
            name: cell(column("name")).map(|text| (*text).to_owned()),
            value: cell(Some(value)).map_or(String::new(), |text| (*text).to_owned()),
            ..ApiKey::default()
        };
        match add(call, key) {
            Ok(key) => ids.push(key.id),
            Err(fault) if fail => return Err(fault),
            Err(fault) => warnings.push(format!("line {number}: {}", fault.message)),
        }
    }
    Ok(Answer::Json(json!({ "ids": ids, "warnings": warnings })))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let with_value = call.asked("includeValue") == Some("true");
    render(load(call, call.label(0))?, with_value).map(Answer::Json)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let with_values = call.asked("includeValues") == Some("true");
    let begins = call.asked("name").unwrap_or_default().to_owned();
    if begins.is_empty() {
        return call.list(&call.key("apikeys", &[]), |key| render(key, with_values));
    }
    let all: Vec<ApiKey> = call.below(&call.key("apikeys", &[]))?;
    let named = all.into_iter().filter(|key| key.name.as_ref().is_some_and(|n| n.starts_with(&begins)));
    let items: Result<Vec<Value>, Fault> = named.map(|key| render(key, with_values)).collect();
    Ok(super::collection(items?, None))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateApiKeyInput")?;
    let mut key: ApiKey = patched(&load(call, call.label(0))?, RULES, Dialect::Listed, &operations)?;
    check(&key)?;
    key.last_updated_date = call.now;
    call.save(call.key("apikeys", &[&key.id]), &key)?;
    render(key, false).map(Answer::Json)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call, call.label(0))?.id;
    for (key, _) in call.tx.all(&format!("{}/", call.key("usageplankeys", &[])))? {
        if key.ends_with(&format!("/{id}")) {
            call.tx.remove(key);
        }
    }
    call.tx.remove(call.key("apikeys", &[&id]));
    Ok(Answer::Nothing)
}

pub(super) fn load(call: &Call<'_>, id: &str) -> Result<ApiKey, Fault> {
    let found = call.load(&call.key("apikeys", &[id]))?;
    found.ok_or_else(|| Fault::not_found("Invalid API Key identifier specified"))
}

fn render(key: ApiKey, with_value: bool) -> Result<Value, Fault> {
    let mut value = shown(&key)?;
    if let Some(map) = value.as_object_mut().filter(|_| !with_value) {
        map.remove("value");
    }
    Ok(value)
}

fn check(key: &ApiKey) -> Result<(), Fault> {
    if key.name.as_ref().is_some_and(|name| name.len() > NAME_MAX) {
        let message = format!("Invalid API Key name, can be at most {NAME_MAX} characters.");
        return Err(Fault::bad_request(message));
    }
    if key.description.as_deref() == Some("") {
        return Err(Fault::bad_request("Invalid API Key description specified."));
    }
    Ok(())
}
