//! Integration: what answers a method.

use super::fault::Violations;
use super::integration_response::IntegrationResponse;
use super::patch::{self, Dialect, Kind, Rule, optional, replace};
use super::{Answer, Call, Fault, answer, method, method::Method, patched};
use crate::model::ContentHandling;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const TIMEOUT_MS: i64 = 29_000;
const TIMEOUT_MIN_MS: i64 = 50;
/// AWS's own end is 29 s, and more on request.
const TIMEOUT_MAX_MS: i64 = 300_000;
const TYPES: [&str; 5] = ["HTTP", "MOCK", "AWS_PROXY", "HTTP_PROXY", "AWS"];
const PASSTHROUGH: [&str; 3] = ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Integration {
    pub(crate) cache_key_parameters: Vec<String>,
    pub(crate) cache_namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_handling: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_method: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) integration_responses: BTreeMap<String, IntegrationResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) integration_target: Option<String>,
    pub(crate) passthrough_behavior: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) request_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) request_templates: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_transfer_mode: Option<String>,
    pub(crate) timeout_in_millis: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_config: Option<TlsConfig>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uri: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TlsConfig {
    pub(crate) insecure_skip_verification: bool,
}

const RULES: &[Rule] = &[
    replace("/httpMethod", Kind::Text),
    replace("/uri", Kind::Text),
    replace("/credentials", Kind::Text),
    replace("/passthroughBehavior", Kind::Text),
    replace("/contentHandling", Kind::Text),
    replace("/timeoutInMillis", Kind::Integer),
    replace("/cacheNamespace", Kind::Text),
    replace("/connectionType", Kind::Text),
    replace("/connectionId", Kind::Text),
    replace("/tlsConfig/insecureSkipVerification", Kind::Flag),
    replace("/responseTransferMode", Kind::Text),
    replace("/integrationTarget", Kind::Text),
    optional("/requestParameters/*", Kind::Entry),
    optional("/requestTemplates/*", Kind::Entry),
    optional("/cacheKeyParameters/*", Kind::Item),
];

pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let tls = fields.object("tlsConfig")?;
    let tls = tls.map(|tls| tls.flag("insecureSkipVerification")).transpose()?;
    let integration = Integration {
        cache_key_parameters: fields.texts("cacheKeyParameters")?.unwrap_or_default(),
        cache_namespace: fields.text("cacheNamespace")?.unwrap_or_else(|| call.label(1).to_owned()),
        connection_id: fields.text("connectionId")?,
        connection_type: fields.text("connectionType")?,
        content_handling: fields.text("contentHandling")?,
        credentials: fields.text("credentials")?,
        http_method: fields.text("httpMethod")?,
        integration_target: fields.text("integrationTarget")?,
        passthrough_behavior: fields.text("passthroughBehavior")?.unwrap_or_else(|| PASSTHROUGH[0].into()),
        request_parameters: fields.map("requestParameters")?.unwrap_or_default(),
        request_templates: fields.map("requestTemplates")?.unwrap_or_default(),
        response_transfer_mode: fields.text("responseTransferMode")?,
        timeout_in_millis: fields.integer("timeoutInMillis")?.unwrap_or(TIMEOUT_MS),
        tls_config: tls.map(|flag| TlsConfig { insecure_skip_verification: flag.unwrap_or(false) }),
        kind: fields.text("type")?.unwrap_or_default(),
        uri: fields.text("uri")?,
        ..Integration::default()
    };
    method::change(call, |_, method| {
        check(method, &integration, "putIntegrationInput")?;
        method.method_integration = Some(integration.clone());
        answer(&integration)
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&method::load(call)?.1.method_integration.ok_or_else(unknown)?)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateIntegrationInput")?;
    method::change(call, |_, method| {
        let before = method.method_integration.take().ok_or_else(unknown)?;
        let integration: Integration = patched(&before, RULES, Dialect::Plain, &operations)?;
        check(method, &integration, "updateIntegrationInput")?;
        let shown = answer(&integration)?;
        method.method_integration = Some(integration);
        Ok(shown)
    })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    method::change(call, |_, method| {
        method.method_integration.take().ok_or_else(unknown)?;
        Ok(Answer::Nothing)
    })
}

fn unknown() -> Fault {
    Fault::not_found("Invalid Integration identifier specified")
}

pub(super) fn invalid_expression(expression: &str) -> Fault {
    Fault::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression \
         specified: {expression}]"
    ))
}

pub(super) fn invalid_parameter(expression: &str) -> Fault {
    Fault::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression \
         parameter specified: {expression}]"
    ))
}

/// Keys of templates are media types.
pub(super) fn media_types<'k>(mut keys: impl Iterator<Item = &'k String>) -> Result<(), Fault> {
    let valid = |key: &&String| key.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    match keys.find(|key| *key != "$default" && !valid(key)) {
        None => Ok(()),
        Some(key) => Err(Fault::bad_request(format!(
            "Validation Result: warnings : [], errors : [Invalid content type specified: {key}]"
        ))),
    }
}

fn check(method: &Method, integration: &Integration, input: &str) -> Result<(), Fault> {
    let mut violations = Violations::default();
    violations.one_of(Some(&integration.kind), &format!("{input}.type"), &TYPES);
    let connection = integration.connection_type.as_deref();
    violations.one_of(connection, &format!("{input}.connectionType"), &["INTERNET", "VPC_LINK"]);
    let handling = integration.content_handling.as_deref();
    violations.one_of(handling, &format!("{input}.contentHandling"), &ContentHandling::NAMES);
    violations.finish()?;
    let refuse = |message: &str| Err(Fault::bad_request(message));
    if !PASSTHROUGH.contains(&integration.passthrough_behavior.as_str()) {
        return refuse("Invalid passthrough behavior specified");
    }
    if !(TIMEOUT_MIN_MS..=TIMEOUT_MAX_MS).contains(&integration.timeout_in_millis) {
        return Err(Fault::bad_request(format!(
            "Timeout should be between {TIMEOUT_MIN_MS} ms and {TIMEOUT_MAX_MS} ms"
        )));
    }
    let methods = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY"];
    match integration.http_method.as_deref() {
        None | Some("") if integration.kind != "MOCK" => {
            return refuse("Enumeration value for HttpMethod must be non-empty");
        }
        Some(name) if !name.is_empty() && !methods.contains(&name) => {
            return Err(Fault::bad_request(format!(
                "Invalid HttpMethod specified. Valid options are {}",
                methods.join(",")
            )));
        }
        _ => {}
    }
    endpoint(integration)?;
    for (target, source) in &integration.request_parameters {
        parameter(method, target, source)?;
    }
    media_types(integration.request_templates.keys())
}

fn endpoint(integration: &Integration) -> Result<(), Fault> {
    let uri = integration.uri.as_deref().unwrap_or_default();
    let refuse = |message: &str| Err(Fault::bad_request(message));
    match integration.kind.as_str() {
        "HTTP" | "HTTP_PROXY" => {
            let begins = ["http://", "https://", "${stageVariables."];
            match begins.iter().any(|begin| uri.len() > begin.len() && uri.starts_with(begin)) {
                true => Ok(()),
                false => refuse("Invalid HTTP endpoint specified for URI"),
            }
        }
        "AWS" | "AWS_PROXY" => {
            let parts: Vec<&str> = uri.splitn(6, ':').collect();
            match parts.as_slice() {
                ["arn", _, "apigateway", _, service, rest] => {
                    if !rest.starts_with("path/") && !rest.starts_with("action/") {
                        return refuse("AWS ARN for integration must contain path or action");
                    }
                    if integration.kind == "AWS_PROXY" && !["lambda", "firehose"].contains(service) {
                        return refuse(
                            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose \
                             stream invocations.",
                        );
                    }
                    Ok(())
                }
                _ => refuse("Invalid ARN specified in the request"),
            }
        }
        _ => Ok(()),
    }
}

/// `integration.request.header.X` ← `method.request.header.Y`, of what the method declares.
fn parameter(method: &Method, target: &str, source: &str) -> Result<(), Fault> {
    let named = |prefix: &str| target.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
    let places = ["header", "querystring", "path", "multivalueheader", "multivaluequerystring"];
    if !places.iter().any(|place| named(&format!("integration.request.{place}."))) {
        return Err(invalid_expression(target));
    }
    if source.len() >= 2 && source.starts_with('\'') && source.ends_with('\'') {
        return Ok(());
    }
    let Some(rest) = source.strip_prefix("method.request.") else {
        let known = ["context.", "stageVariables."].iter().any(|known| source.starts_with(known));
        return if known { Ok(()) } else { Err(invalid_expression(source)) };
    };
    if rest == "body" || rest.starts_with("body.") || rest.starts_with("body[") {
        return Ok(());
    }
    let declared = rest.replacen("multivalueheader.", "header.", 1).replacen(
        "multivaluequerystring.",
        "querystring.",
        1,
    );
    match method.request_parameters.contains_key(&format!("method.request.{declared}")) {
        true => Ok(()),
        false => Err(invalid_parameter(source)),
    }
}
