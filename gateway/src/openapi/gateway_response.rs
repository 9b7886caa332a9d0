//! `x-amazon-apigateway-gateway-responses`: the API's own words for AWS's refusals.

use super::findings::{Findings, meant};
use super::mapping::{self, Direction};
use super::node::{Node, shown};
use crate::model::GatewayResponse;

/// AWS's types (botocore 2015-07-09, GatewayResponseType).
pub(crate) const TYPES: [&str; 21] = [
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
];

const KEYS: [&str; 3] = ["statusCode", "responseParameters", "responseTemplates"];

pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Vec<GatewayResponse> {
    let mut responses = Vec::new();
    for entry in findings.map(node, "x-amazon-apigateway-gateway-responses").map_or(&[][..], |m| &m.entries) {
        if !TYPES.contains(&entry.key.as_str()) {
            let what = format!("`{}` is none of AWS's gateway response types", shown(&entry.key));
            findings.error(entry.place, what, meant(&entry.key, &TYPES));
            continue;
        }
        findings.scope = format!("gateway response {}", entry.key);
        if let Some(map) = findings.map(&entry.value, &entry.key) {
            findings.unknown_keys(map, "a gateway response", &KEYS);
            let status = map.node("statusCode").and_then(|n| findings.integer(n, "statusCode", 200, 599));
            let parameters = map.node("responseParameters");
            let templates = map.node("responseTemplates");
            responses.push(GatewayResponse {
                response_type: entry.key.clone(),
                place: entry.place,
                status_code: status.and_then(|s| u16::try_from(s).ok()),
                response_parameters: parameters
                    .map_or_else(Vec::new, |n| mapping::parameters(n, Direction::Gateway, findings)),
                response_templates: templates
                    .map_or_else(Vec::new, |n| mapping::templates(n, "responseTemplates", findings)),
            });
        }
        findings.scope.clear();
    }
    responses
}
