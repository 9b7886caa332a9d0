//! Method: what a resource does for one HTTP method.

use super::integration::Integration;
use super::method_response::MethodResponse;
use super::patch::{self, Dialect, Kind, Rule, items, optional, replace};
use super::resource::{self, Resource};
use super::{Answer, Call, Fault, answer, patched};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY"];
const AUTHORIZATION: [&str; 5] = ["NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS", "JWT"];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Method {
    pub(crate) api_key_required: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) authorization_scopes: Vec<String>,
    pub(crate) authorization_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorizer_id: Option<String>,
    pub(crate) http_method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method_integration: Option<Integration>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) method_responses: BTreeMap<String, MethodResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation_name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) request_models: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) request_parameters: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_validator_id: Option<String>,
}

const RULES: &[Rule] = &[
    replace("/authorizationType", Kind::Text),
    replace("/authorizerId", Kind::Text),
    replace("/apiKeyRequired", Kind::Flag),
    replace("/operationName", Kind::Text),
    replace("/requestValidatorId", Kind::Text),
    optional("/requestParameters/*", Kind::EntryFlag),
    optional("/requestModels/*", Kind::Entry),
    items("/authorizationScopes", Kind::ItemValue),
];

pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let mut resource = resource::load(call)?;
    let name = call.label(2).to_owned();
    if !METHODS.contains(&name.as_str()) {
        return Err(Fault::bad_request(format!(
            "Invalid HttpMethod specified. Valid options are {}",
            METHODS.join(",")
        )));
    }
    if resource.resource_methods.contains_key(&name) {
        return Err(Fault::conflict("Method already exists for this resource"));
    }
    let mut method = Method {
        api_key_required: fields.flag("apiKeyRequired")?.unwrap_or(false),
        authorization_scopes: fields.texts("authorizationScopes")?.unwrap_or_default(),
        authorization_type: fields.text("authorizationType")?.unwrap_or_default(),
        authorizer_id: fields.text("authorizerId")?,
        http_method: name.clone(),
        operation_name: fields.text("operationName")?,
        request_models: fields.map("requestModels")?.unwrap_or_default(),
        request_parameters: fields.flags("requestParameters")?.unwrap_or_default(),
        request_validator_id: fields.text("requestValidatorId")?,
        ..Method::default()
    };
    check(call, &mut method)?;
    resource.resource_methods.insert(name, method.clone());
    save(call, &resource)?;
    answer(&method)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?.1)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateMethodInput")?;
    change(call, |call, method| {
        *method = patched(method, RULES, Dialect::Plain, &operations)?;
        method.request_validator_id = method.request_validator_id.take().filter(|id| !id.is_empty());
        check(call, method)?;
        answer(method)
    })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (mut resource, method) = load(call)?;
    resource.resource_methods.remove(&method.http_method);
    save(call, &resource)?;
    Ok(Answer::Nothing)
}

/// The method that the call's path names, with its resource.
pub(super) fn load(call: &Call<'_>) -> Result<(Resource, Method), Fault> {
    let resource = resource::load(call)?;
    let found = resource.resource_methods.get(call.label(2)).cloned();
    let method = found.ok_or_else(|| Fault::not_found("Invalid Method identifier specified"))?;
    Ok((resource, method))
}

/// Changes that method and saves it.
pub(super) fn change(
    call: &mut Call<'_>,
    change: impl FnOnce(&Call<'_>, &mut Method) -> Result<Answer, Fault>,
) -> Result<Answer, Fault> {
    let (mut resource, mut method) = load(call)?;
    let answer = change(call, &mut method)?;
    resource.resource_methods.insert(method.http_method.clone(), method);
    save(call, &resource)?;
    Ok(answer)
}

fn save(call: &mut Call<'_>, resource: &Resource) -> Result<(), Fault> {
    let key = call.key("resources", &[call.label(0), &resource.id]);
    call.save(key, resource)
}

fn check(call: &Call<'_>, method: &mut Method) -> Result<(), Fault> {
    let refuse = |message: &str| Err(Fault::bad_request(message));
    let api = call.label(0);
    if !AUTHORIZATION.contains(&method.authorization_type.as_str()) {
        return Err(Fault::bad_request(format!(
            "Invalid authorization type specified. Valid options are {}",
            AUTHORIZATION.join(",")
        )));
    }
    if ["CUSTOM", "COGNITO_USER_POOLS", "JWT"].contains(&method.authorization_type.as_str()) {
        let id = method.authorizer_id.as_deref().unwrap_or_default();
        if call.tx.get(&call.key("authorizers", &[api, id]))?.is_none() {
            return refuse(
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS \
                 requires a valid authorizer.",
            );
        }
    } else {
        method.authorizer_id = None;
    }
    if let Some(id) = &method.request_validator_id
        && call.tx.get(&call.key("validators", &[api, id]))?.is_none()
    {
        return refuse("Invalid Request Validator identifier specified");
    }
    for model in method.request_models.values() {
        if call.tx.get(&call.key("models", &[api, model]))?.is_none() {
            return Err(Fault::bad_request(format!("Invalid model identifier specified: {model}")));
        }
    }
    let mut names = BTreeSet::new();
    for parameter in method.request_parameters.keys() {
        let mut parts = parameter.splitn(4, '.');
        let place = (parts.next(), parts.next(), parts.next());
        let known =
            matches!(place, (Some("method"), Some("request"), Some("header" | "path" | "querystring")));
        let Some(name) = parts.next().filter(|name| known && !name.is_empty()) else {
            return Err(Fault::bad_request(format!(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
                 expression specified: {parameter}]"
            )));
        };
        if !names.insert(name) {
            return refuse("Parameter names must be unique across querystring, header and path");
        }
    }
    Ok(())
}
