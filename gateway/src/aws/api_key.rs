//! ApiKey: what a client of an API identifies itself with. Usage plans say what it may call.

use super::patch::{self, Dialect, Kind, Rule, items, replace};
use super::{Answer, Call, Fault, answer, patched, shown, usage, usage_plan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

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
    let mut values = values(call)?;
    let key = add(call, key, &mut values)?;
    answer(&key)
}

/// Of all keys that there are.
fn values(call: &Call<'_>) -> Result<HashSet<String>, Fault> {
    let all: Vec<ApiKey> = call.below(&call.key("apikeys", &[]))?;
    Ok(all.into_iter().map(|key| key.value).collect())
}

/// Draws what is missing. A value is one key's.
fn add(call: &mut Call<'_>, mut key: ApiKey, values: &mut HashSet<String>) -> Result<ApiKey, Fault> {
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
    if values.len() >= KEYS_MAX {
        return Err(Fault::limit("API keys"));
    }
    if !values.insert(key.value.clone()) {
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
    let head = lines.next().ok_or_else(|| Fault::bad_request("The CSV file is empty"))?;
    let head: Vec<String> = cells(head).into_iter().map(|name| name.to_ascii_lowercase()).collect();
    let column = |name: &str| head.iter().position(|found| found == name);
    let value = column("key").ok_or_else(|| Fault::bad_request("The CSV file has no column `key`"))?;
    let (mut ids, mut warnings) = (Vec::new(), Vec::new());
    let mut values = values(call)?;
    for (line, number) in lines.take(IMPORTED_MAX).zip(2..) {
        let cells = cells(line);
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).filter(|cell| !cell.is_empty());
        let plans = cell(column("usageplanids")).cloned().unwrap_or_default();
        let key = ApiKey {
            created_date: call.now,
            description: cell(column("description")).cloned(),
            enabled: cell(column("enabled")).is_none_or(|text| text.eq_ignore_ascii_case("true")),
            last_updated_date: call.now,
            name: cell(column("name")).cloned(),
            value: cell(Some(value)).cloned().unwrap_or_default(),
            ..ApiKey::default()
        };
        let mut plans = plans.split(',').map(str::trim).filter(|plan| !plan.is_empty());
        let added = add(call, key, &mut values).and_then(|key| {
            ids.push(key.id.clone());
            plans.try_for_each(|plan| usage_plan::attach(call, plan, &key))
        });
        match added {
            Ok(()) => {}
            Err(fault) if fail => return Err(fault),
            Err(fault) => warnings.push(format!("line {number}: {}", fault.message)),
        }
    }
    Ok(Answer::Json(json!({ "ids": ids, "warnings": warnings })))
}

/// Of a line of a CSV file: split at commas, but for those in quotes; two quotes in quotes are one.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cells.last_mut().into_iter().for_each(|cell| cell.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            char => cells.last_mut().into_iter().for_each(|cell| cell.push(char)),
        }
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
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
    usage::forget(call, None, Some(&id))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_csv_file_may_be_quoted() {
        for (line, found) in [
            ("a, b ,c", &["a", "b", "c"][..]),
            ("\"a,b\",\"say \"\"x\"\"\",", &["a,b", "say \"x\"", ""]),
            ("", &[""]),
            ("\"open, to the end", &["open, to the end"]),
        ] {
            assert_eq!(cells(line), found, "{line}");
        }
    }
}
