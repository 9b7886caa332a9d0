//! GatewayResponse: what an API answers when it refuses by itself. Every type exists; those that were put are its own.

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Rule, optional};
use super::{Answer, Call, Fault, answer, collection, patched, rest_api, shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GatewayResponse {
    pub(crate) default_response: bool,
    pub(crate) response_parameters: BTreeMap<String, String>,
    pub(crate) response_templates: BTreeMap<String, String>,
    pub(crate) response_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status_code: Option<String>,
}

/// AWS's types with their status, in the order of its messages as far as that was recorded.
const TYPES: [(&str, Option<&str>); 21] = [
    ("REQUEST_TOO_LARGE", Some("413")),
    ("RESOURCE_NOT_FOUND", Some("404")),
    ("AUTHORIZER_CONFIGURATION_ERROR", Some("500")),
    ("MISSING_AUTHENTICATION_TOKEN", Some("403")),
    ("BAD_REQUEST_BODY", Some("400")),
    ("INVALID_SIGNATURE", Some("403")),
    ("INVALID_API_KEY", Some("403")),
    ("BAD_REQUEST_PARAMETERS", Some("400")),
    ("AUTHORIZER_FAILURE", Some("500")),
    ("UNAUTHORIZED", Some("401")),
    ("INTEGRATION_TIMEOUT", Some("504")),
    ("ACCESS_DENIED", Some("403")),
    ("DEFAULT_4XX", None),
    ("DEFAULT_5XX", None),
    ("WAF_FILTERED", Some("403")),
    ("QUOTA_EXCEEDED", Some("429")),
    ("THROTTLED", Some("429")),
    ("API_CONFIGURATION_ERROR", Some("500")),
    ("UNSUPPORTED_MEDIA_TYPE", Some("415")),
    ("INTEGRATION_FAILURE", Some("504")),
    ("EXPIRED_TOKEN", Some("403")),
];

const RULES: &[Rule] = &[
    optional("/statusCode", Kind::Text),
    optional("/responseParameters/*", Kind::Entry),
    optional("/responseTemplates/*", Kind::Entry),
];

pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let default = named(call, "putGatewayResponseInput")?;
    rest_api::load(call, call.label(0))?;
    let response = GatewayResponse {
        default_response: false,
        response_parameters: fields.map("responseParameters")?.unwrap_or_default(),
        response_templates: fields.map("responseTemplates")?.unwrap_or(default.response_templates),
        response_type: default.response_type,
        status_code: fields.text("statusCode")?.or(default.status_code),
    };
    check(&response, "putGatewayResponseInput")?;
    save(call, &response)?;
    answer(&response)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let default = named(call, "getGatewayResponseInput")?;
    rest_api::load(call, call.label(0))?;
    answer(&own(call, &default.response_type)?.unwrap_or(default))
}

/// All types at once, as AWS does.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    rest_api::load(call, call.label(0))?;
    let shown = |(kind, status): &(&str, Option<&str>)| {
        let own = own(call, kind)?;
        shown(&own.unwrap_or_else(|| default_of(kind, *status)))
    };
    let items: Result<Vec<_>, Fault> = TYPES.iter().map(shown).collect();
    Ok(collection(items?, None))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateGatewayResponseInput")?;
    let default = named(call, "updateGatewayResponseInput")?;
    rest_api::load(call, call.label(0))?;
    let before = own(call, &default.response_type)?.unwrap_or(default);
    let mut response: GatewayResponse = patched(&before, RULES, Dialect::Plain, &operations)?;
    response.default_response = false;
    check(&response, "updateGatewayResponseInput")?;
    save(call, &response)?;
    answer(&response)
}

/// The API answers with AWS's default again.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let kind = named(call, "deleteGatewayResponseInput")?.response_type;
    rest_api::load(call, call.label(0))?;
    own(call, &kind)?.ok_or_else(|| Fault::not_found("Gateway response type not defined on api"))?;
    call.tx.remove(call.key("gatewayresponses", &[call.label(0), &kind]));
    Ok(Answer::Nothing)
}

fn own(call: &Call<'_>, kind: &str) -> Result<Option<GatewayResponse>, Fault> {
    call.load(&call.key("gatewayresponses", &[call.label(0), kind]))
}

fn save(call: &mut Call<'_>, response: &GatewayResponse) -> Result<(), Fault> {
    let key = call.key("gatewayresponses", &[call.label(0), &response.response_type]);
    call.save(key, response)
}

/// AWS's default of the type that the call's path names.
fn named(call: &Call<'_>, input: &str) -> Result<GatewayResponse, Fault> {
    let kind = call.label(1);
    let known = TYPES.map(|(kind, _)| kind);
    let mut violations = Violations::default();
    violations.one_of(Some(kind), &format!("{input}.responseType"), &known);
    violations.finish()?;
    let status = TYPES.iter().find(|(known, _)| *known == kind).and_then(|(_, status)| *status);
    Ok(default_of(kind, status))
}

fn default_of(kind: &str, status: Option<&str>) -> GatewayResponse {
    let template = ("application/json".to_owned(), "{\"message\":$context.error.messageString}".to_owned());
    GatewayResponse {
        default_response: true,
        response_parameters: BTreeMap::new(),
        response_templates: BTreeMap::from([template]),
        response_type: kind.to_owned(),
        status_code: status.map(str::to_owned),
    }
}

fn check(response: &GatewayResponse, input: &str) -> Result<(), Fault> {
    let mut violations = Violations::default();
    if let Some(status) = &response.status_code {
        violations.status_code(status, &format!("{input}.statusCode"));
    }
    violations.finish()?;
    let header = |name: &String| name.strip_prefix("gatewayresponse.header.").is_some_and(|n| !n.is_empty());
    match response.response_parameters.keys().find(|name| !header(name)) {
        None => super::integration::media_types(response.response_templates.keys()),
        Some(name) => Err(super::integration::invalid_expression(name)),
    }
}
