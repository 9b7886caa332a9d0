//! MethodResponse: what a method promises for one status.

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Rule, optional};
use super::{Answer, Call, Fault, answer, method, patched};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MethodResponse {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) response_models: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) response_parameters: BTreeMap<String, bool>,
    pub(crate) status_code: String,
}

const RULES: &[Rule] =
    &[optional("/responseParameters/*", Kind::EntryFlag), optional("/responseModels/*", Kind::Entry)];

pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (fields, status) = (call.fields()?, call.label(3).to_owned());
    let mut violations = Violations::default();
    violations.status_code(&status, "putMethodResponseInput.statusCode");
    violations.finish()?;
    let response = MethodResponse {
        response_models: fields.map("responseModels")?.unwrap_or_default(),
        response_parameters: fields.flags("responseParameters")?.unwrap_or_default(),
        status_code: status,
    };
    method::change(call, |call, method| {
        if method.method_responses.contains_key(&response.status_code) {
            return Err(Fault::conflict("Response already exists for this resource"));
        }
        check(call, &response)?;
        method.method_responses.insert(response.status_code.clone(), response.clone());
        answer(&response)
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (_, method) = method::load(call)?;
    answer(method.method_responses.get(call.label(3)).ok_or_else(unknown)?)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateMethodResponseInput")?;
    let status = call.label(3).to_owned();
    method::change(call, |call, method| {
        let response = method.method_responses.get_mut(&status).ok_or_else(unknown)?;
        *response = patched(response, RULES, Dialect::Plain, &operations)?;
        check(call, response)?;
        answer(response)
    })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let status = call.label(3).to_owned();
    method::change(call, |_, method| {
        method.method_responses.remove(&status).ok_or_else(unknown)?;
        Ok(Answer::Nothing)
    })
}

pub(super) fn unknown() -> Fault {
    Fault::not_found("Invalid Response status code specified")
}

fn check(call: &Call<'_>, response: &MethodResponse) -> Result<(), Fault> {
    for model in response.response_models.values() {
        if call.tx.get(&call.key("models", &[call.label(0), model]))?.is_none() {
            return Err(Fault::bad_request(format!("Invalid model identifier specified: {model}")));
        }
    }
    let header = |name: &String| name.strip_prefix("method.response.header.").is_some_and(|n| !n.is_empty());
    match response.response_parameters.keys().find(|name| !header(name)) {
        None => Ok(()),
        Some(name) => Err(super::integration::invalid_expression(name)),
    }
}
