//! RequestValidator: whether parameters and bodies are checked.

use super::patch::{self, Dialect, Kind, Rule, replace};
use super::{Answer, Call, Fault, answer, patched, resource, rest_api, shown};
use serde::{Deserialize, Serialize};

const VALIDATORS_MAX: usize = 1000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Validator {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) validate_request_body: bool,
    pub(crate) validate_request_parameters: bool,
}

const RULES: &[Rule] = &[
    replace("/name", Kind::Text),
    replace("/validateRequestParameters", Kind::Flag),
    replace("/validateRequestBody", Kind::Flag),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let api = call.label(0).to_owned();
    if call.tx.get(&call.key("apis", &[&api]))?.is_none() {
        return Err(unknown());
    }
    let validator = Validator {
        id: call.new_id("validators", &[&api], 6)?,
        name: fields.text("name")?,
        validate_request_body: fields.flag("validateRequestBody")?.unwrap_or(false),
        validate_request_parameters: fields.flag("validateRequestParameters")?.unwrap_or(false),
    };
    check(&validator)?;
    call.room_below(&call.key("validators", &[&api]), VALIDATORS_MAX, "request validators for this API")?;
    save(call, &validator)?;
    answer(&validator)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    call.list(&call.key("validators", &[&api]), |validator: Validator| shown(&validator))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateRequestValidatorInput")?;
    let validator: Validator = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    check(&validator)?;
    save(call, &validator)?;
    answer(&validator)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (api, id) = (call.label(0).to_owned(), load(call)?.id);
    for resource in resource::all(call, &api)? {
        let used = |method: &&super::method::Method| method.request_validator_id.as_ref() == Some(&id);
        if let Some(method) = resource.resource_methods.values().find(used) {
            return Err(Fault::conflict(format!(
                "Cannot delete request validator '{id}', is referenced in method request: {}/{}",
                resource.path, method.http_method
            )));
        }
    }
    call.tx.remove(call.key("validators", &[&api, &id]));
    Ok(Answer::Nothing)
}

fn load(call: &Call<'_>) -> Result<Validator, Fault> {
    call.load(&call.key("validators", &[call.label(0), call.label(1)]))?.ok_or_else(unknown)
}

fn save(call: &mut Call<'_>, validator: &Validator) -> Result<(), Fault> {
    let key = call.key("validators", &[call.label(0), &validator.id]);
    call.save(key, validator)
}

fn check(validator: &Validator) -> Result<(), Fault> {
    match validator.name.as_deref() {
        Some(name) if name.trim().is_empty() => {
            Err(Fault::bad_request("Request Validator name cannot be blank"))
        }
        _ => Ok(()),
    }
}

fn unknown() -> Fault {
    Fault::not_found("Invalid Request Validator identifier specified")
}
