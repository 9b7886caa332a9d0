//! IntegrationResponse: how a backend's answer becomes one of the method's.

use super::fault::Violations;
use super::integration::{Integration, invalid_expression, invalid_parameter, media_types};
use super::patch::{self, Dialect, Kind, Rule, optional, replace};
use super::{Answer, Call, Fault, answer, method, method::Method, method_response, patched};
use crate::model::ContentHandling;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IntegrationResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_handling: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) response_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) response_templates: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) selection_pattern: Option<String>,
    pub(crate) status_code: String,
}

const RULES: &[Rule] = &[
    replace("/selectionPattern", Kind::Text),
    replace("/statusCode", Kind::Text),
    replace("/contentHandling", Kind::Text),
    optional("/responseParameters/*", Kind::Entry),
    optional("/responseTemplates/*", Kind::Entry),
];

pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (fields, status) = (call.fields()?, call.label(3).to_owned());
    let response = IntegrationResponse {
        content_handling: fields.text("contentHandling")?,
        response_parameters: fields.map("responseParameters")?.unwrap_or_default(),
        response_templates: fields.map("responseTemplates")?.unwrap_or_default(),
        selection_pattern: fields.text("selectionPattern")?,
        status_code: status,
    };
    method::change(call, |_, method| {
        check(method, &response, "putIntegrationResponseInput")?;
        let integration = integration(method)?;
        integration.integration_responses.insert(response.status_code.clone(), response.clone());
        answer(&response)
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (_, mut method) = method::load(call)?;
    let found = integration(&mut method)?.integration_responses.get(call.label(3));
    answer(found.ok_or_else(method_response::unknown)?)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateIntegrationResponseInput")?;
    let status = call.label(3).to_owned();
    method::change(call, |_, method| {
        let responses = &mut integration(method)?.integration_responses;
        let before = responses.remove(&status).ok_or_else(method_response::unknown)?;
        let response: IntegrationResponse = patched(&before, RULES, Dialect::Plain, &operations)?;
        check(method, &response, "updateIntegrationResponseInput")?;
        let responses = &mut integration(method)?.integration_responses;
        responses.insert(response.status_code.clone(), response.clone());
        answer(&response)
    })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let status = call.label(3).to_owned();
    method::change(call, |_, method| {
        let removed = integration(method)?.integration_responses.remove(&status);
        removed.ok_or_else(method_response::unknown)?;
        Ok(Answer::Nothing)
    })
}

fn integration(method: &mut Method) -> Result<&mut Integration, Fault> {
    method
        .method_integration
        .as_mut()
        .ok_or_else(|| Fault::not_found("Invalid Integration identifier specified"))
}

fn check(method: &Method, response: &IntegrationResponse, input: &str) -> Result<(), Fault> {
    let mut violations = Violations::default();
    violations.status_code(&response.status_code, &format!("{input}.statusCode"));
    let handling = response.content_handling.as_deref();
    violations.one_of(handling, &format!("{input}.contentHandling"), &ContentHandling::NAMES);
    violations.finish()?;
    let promised = method.method_responses.get(&response.status_code);
    let promised = promised.ok_or_else(method_response::unknown)?;
    for (target, source) in &response.response_parameters {
        if !promised.response_parameters.contains_key(target) {
            return Err(invalid_parameter(target));
        }
        let known = [
            "integration.response.header.",
            "integration.response.multivalueheader.",
            "context.",
            "stageVariables.",
        ];
        let literal = source.len() >= 2 && source.starts_with('\'') && source.ends_with('\'');
        let body = source == "integration.response.body" || source.starts_with("integration.response.body.");
        if !literal && !body && !known.iter().any(|known| source.starts_with(known)) {
            return Err(invalid_expression(source));
        }
    }
    media_types(response.response_templates.keys())
}
