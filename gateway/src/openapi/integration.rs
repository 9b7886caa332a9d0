//! `x-amazon-apigateway-integration`: what answers a method.

use super::findings::Findings;
use super::mapping::{self, Direction};
use super::node::{Map, Node, shown};
use super::path::Segment;
use crate::model::{ContentHandling, Integration, IntegrationResponse, IntegrationType, Passthrough, Place};

/// AWS's default, in ms.
const TIMEOUT_MS: u32 = 29_000;
/// AWS's least, and what a quota increase or a streamed response may reach (15 min).
const TIMEOUT_MS_LEAST: u64 = 50;
const TIMEOUT_MS_MOST: u64 = 900_000;
/// Each is looked for in every request of the method.
const CACHE_KEY_PARAMETERS_MAX: usize = 64;

const TYPES: [&str; 5] = ["http", "http_proxy", "mock", "aws", "aws_proxy"];
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"];
const KEYS: [&str; 20] = [
    "type",
    "uri",
    "httpMethod",
    "requestParameters",
    "requestTemplates",
    "passthroughBehavior",
    "timeoutInMillis",
    "connectionType",
    "connectionId",
    "contentHandling",
    "credentials",
    "cacheKeyParameters",
    "cacheNamespace",
    "tlsConfig",
    "responseTransferMode",
    "responses",
    "payloadFormatVersion",
    "integrationSubtype",
    "integrationTarget",
    "$ref",
];
const RESPONSE_KEYS: [&str; 4] = ["statusCode", "responseParameters", "responseTemplates", "contentHandling"];

const NO_PASS: &str = "requests to this method answer 500 until then";

/// `place`: of the key in the method. None: reported.
pub(crate) fn read(
    node: &Node,
    place: Place,
    path: &[Segment<'_>],
    findings: &mut Findings<'_>,
) -> Option<Integration> {
    let map = findings.map(node, "x-amazon-apigateway-integration")?;
    findings.unknown_keys(map, "an integration", &KEYS);
    let Some(kind_node) = map.node("type") else {
        findings.error(
            place,
            "the integration has no `type`",
            format!("write type: one of {}", TYPES.join(", ")),
        );
        return None;
    };
    let kind = [
        IntegrationType::Http,
        IntegrationType::HttpProxy,
        IntegrationType::Mock,
        IntegrationType::Aws,
        IntegrationType::AwsProxy,
    ][findings.one_of(kind_node, "type", &TYPES)?];
    if matches!(kind, IntegrationType::Aws | IntegrationType::AwsProxy) {
        let name = if kind == IntegrationType::Aws { "aws" } else { "aws_proxy" };
        // At the integration, where the compiler would say it: it repeats nothing of the same line.
        findings.unsupported(place, format!("integrations of type {name}"), NO_PASS);
    }
    let request_parameters = map.node("requestParameters");
    let request_templates = map.node("requestTemplates");
    let integration = Integration {
        kind,
        place,
        uri: uri(map, kind, place, findings),
        http_method: http_method(map, kind, place, findings),
        timeout_ms: timeout_ms(map, findings),
        passthrough_behavior: passthrough(map, findings),
        request_parameters: request_parameters
            .map_or_else(Vec::new, |n| mapping::parameters(n, Direction::Request, findings)),
        request_templates: request_templates
            .map_or_else(Vec::new, |n| mapping::templates(n, "requestTemplates", findings)),
        content_handling: content_handling(map, findings),
        responses: map.node("responses").map_or_else(Vec::new, |n| responses(n, findings)),
        vpc_link: vpc_link(map, place, findings),
        cache_namespace: map
            .node("cacheNamespace")
            .and_then(|n| findings.string(n, "cacheNamespace"))
            .map(str::to_owned),
        cache_key_parameters: cache_key_parameters(map, findings),
    };
    without_effect(map, findings);
    unmapped(&integration, path, findings);
    unused_responses(&integration, findings);
    Some(integration)
}

fn http_method(
    map: &Map,
    kind: IntegrationType,
    place: Place,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let Some(node) = map.node("httpMethod") else {
        if kind != IntegrationType::Mock {
            let instead = "write httpMethod: GET, or ANY for the client's own method";
            findings.error(place, "the integration has no `httpMethod`", instead);
        }
        return None;
    };
    Some(METHODS[findings.one_of(node, "httpMethod", &METHODS)?].to_owned())
}

fn timeout_ms(map: &Map, findings: &mut Findings<'_>) -> u32 {
    map.node("timeoutInMillis")
        .and_then(|n| findings.integer(n, "timeoutInMillis", TIMEOUT_MS_LEAST, TIMEOUT_MS_MOST))
        .and_then(|ms| u32::try_from(ms).ok())
        .unwrap_or(TIMEOUT_MS)
}

fn passthrough(map: &Map, findings: &mut Findings<'_>) -> Passthrough {
    const WORDS: [&str; 3] = ["when_no_match", "when_no_templates", "never"];
    let found =
        map.node("passthroughBehavior").and_then(|n| findings.one_of(n, "passthroughBehavior", &WORDS));
    [Passthrough::WhenNoMatch, Passthrough::WhenNoTemplates, Passthrough::Never][found.unwrap_or(0)]
}

fn content_handling(map: &Map, findings: &mut Findings<'_>) -> Option<ContentHandling> {
    let node = map.node("contentHandling").filter(|node| node.value != super::node::Value::Null)?;
    Some(ContentHandling::ALL[findings.one_of(node, "contentHandling", &ContentHandling::NAMES)?])
}

fn vpc_link(map: &Map, place: Place, findings: &mut Findings<'_>) -> Option<String> {
    let kind = map.node("connectionType")?;
    if findings.one_of(kind, "connectionType", &["INTERNET", "VPC_LINK"]) != Some(1) {
        return None;
    }
    let Some(id) = map.node("connectionId") else {
        findings.error(kind.place, "a VPC_LINK needs a `connectionId`", "write connectionId: the link's id");
        return None;
    };
    findings.unsupported(place, "VPC links", NO_PASS);
    findings.string(id, "connectionId").map(str::to_owned)
}

/// Whether the method or the mapping declares them is the compiler's to judge: here their form.
fn cache_key_parameters(map: &Map, findings: &mut Findings<'_>) -> Vec<(String, Place)> {
    let Some(node) = map.node("cacheKeyParameters") else { return Vec::new() };
    let mut parameters: Vec<(String, Place)> = Vec::new();
    for node in findings.list(node, "cacheKeyParameters").unwrap_or_default() {
        let Some(text) = findings.string(node, "cacheKeyParameters") else { continue };
        let name = text.strip_prefix("method.request.").or_else(|| text.strip_prefix("integration.request."));
        let place = name.and_then(|name| name.split_once('.'));
        const PLACES: [&str; 5] =
            ["path", "querystring", "multivaluequerystring", "header", "multivalueheader"];
        if !place.is_some_and(|(place, name)| PLACES.contains(&place) && !name.is_empty()) {
            let what = format!("`{}` cannot be a cache key parameter", shown(text));
            findings.error(node.place, what, "write for example method.request.querystring.type");
        } else if parameters.len() == CACHE_KEY_PARAMETERS_MAX {
            let what = format!("more than {CACHE_KEY_PARAMETERS_MAX} cache key parameters");
            findings.error(node.place, what, "remove some");
            break;
        } else if parameters.iter().all(|(known, _)| known != text) {
            parameters.push((text.to_owned(), node.place));
        }
    }
    parameters
}

fn uri(
    map: &Map,
    kind: IntegrationType,
    place: Place,
    findings: &mut Findings<'_>,
) -> Option<(String, Place)> {
    if kind == IntegrationType::Mock {
        return None;
    }
    let Some(node) = map.node("uri") else {
        findings.error(place, "the integration has no `uri`", "write uri: http://host:port/path");
        return None;
    };
    let text = findings.string(node, "uri")?;
    if matches!(kind, IntegrationType::Aws | IntegrationType::AwsProxy) {
        if !text.starts_with("arn:") {
            let instead = "write arn:aws:apigateway:REGION:SERVICE:path/... or :action/...";
            findings.error(node.place, format!("`{}` is not an ARN", shown(text)), instead);
        }
    } else if !is_http_uri(text) {
        let what = format!("Invalid HTTP endpoint specified for URI: {}", shown(text));
        let instead =
            "write http://host:port/path, with {name} for path parameters and ${stageVariables.name}";
        findings.error(node.place, what, instead);
    }
    Some((text.to_owned(), node.place))
}

/// Scheme, host, and braces in pairs; a stage variable may stand for the beginning. The compiler judges the rest.
fn is_http_uri(text: &str) -> bool {
    let after = |scheme: &str| {
        let start = text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
        start.map(|_| &text[scheme.len()..])
    };
    let rest = after("http://").or_else(|| after("https://"));
    let Some(rest) = rest.or_else(|| text.starts_with("${stageVariables.").then_some(text)) else {
        return false;
    };
    let host = rest.split(['/', '?']).next().unwrap_or("");
    let plain = !text.chars().any(|c| c.is_control() || c == ' ' || c == '#');
    plain && !host.is_empty() && !host.contains('@') && braces_pair_up(rest)
}

/// `{name}` and `${stageVariables.name}`, not nested, not empty.
fn braces_pair_up(text: &str) -> bool {
    let mut pieces = text.split('{');
    let mut before = pieces.next().unwrap_or("");
    if before.contains('}') {
        return false;
    }
    for piece in pieces {
        let Some((name, after)) = piece.split_once('}') else { return false };
        let known = !before.ends_with('$') || name.starts_with("stageVariables.");
        if name.is_empty() || after.contains('}') || !known {
            return false;
        }
        before = after;
    }
    true
}

fn responses(node: &Node, findings: &mut Findings<'_>) -> Vec<IntegrationResponse> {
    let mut responses = Vec::new();
    for entry in findings.map(node, "responses").map_or(&[][..], |m| &m.entries) {
        let Some(map) = findings.map(&entry.value, &entry.key) else { continue };
        findings.unknown_keys(map, "an integration response", &RESPONSE_KEYS);
        let selection_pattern = (!matches!(entry.key.as_str(), "default" | "")).then(|| entry.key.clone());
        if let Some(Err(why)) = selection_pattern.as_deref().map(regex_lite::Regex::new) {
            let what = format!("`{}` is not a regular expression: {why}", shown(&entry.key));
            findings.error(entry.place, what, "write for example 4\\d{2}, or default");
        }
        let Some(status) = map.node("statusCode") else {
            findings.error(
                entry.place,
                "this integration response has no `statusCode`",
                "write statusCode: \"200\"",
            );
            continue;
        };
        let Some(status) = findings.integer(status, "statusCode", 200, 599) else { continue };
        responses.push(IntegrationResponse {
            selection_pattern,
            status_code: u16::try_from(status).unwrap_or(u16::MAX),
            place: entry.place,
            response_parameters: map
                .node("responseParameters")
                .map_or_else(Vec::new, |n| mapping::parameters(n, Direction::Response, findings)),
            response_templates: map
                .node("responseTemplates")
                .map_or_else(Vec::new, |n| mapping::templates(n, "responseTemplates", findings)),
            content_handling: content_handling(map, findings),
        });
    }
    responses
}

/// AWS takes a `{name}` that nothing fills, and then calls the backend with the braces in its path.
fn unmapped(integration: &Integration, path: &[Segment<'_>], findings: &mut Findings<'_>) {
    let Some((uri, place)) = &integration.uri else { return };
    let named = |piece: &str| piece.split_once('}').map(|(name, _)| name.to_owned());
    let pieces = uri.replace("${", "$");
    for name in pieces.split('{').skip(1).filter_map(named) {
        let key = format!("integration.request.path.{name}");
        let mapped = integration.request_parameters.iter().any(|(k, _, _)| *k == key);
        let captured =
            path.iter().any(|s| matches!(s, Segment::Variable(n) | Segment::Greedy(n) if *n == name));
        if !mapped && !captured {
            let what = format!("`{{{}}}` in the uri has no value: it is sent as it stands", shown(&name));
            findings.warning(
                *place,
                what,
                format!("add to requestParameters: {key}: method.request.path.NAME"),
            );
        }
    }
}

/// As in AWS: a proxy's answer passes as it is.
fn unused_responses(integration: &Integration, findings: &mut Findings<'_>) {
    if !matches!(integration.kind, IntegrationType::HttpProxy | IntegrationType::AwsProxy) {
        return;
    }
    for response in &integration.responses {
        let unused = response.response_parameters.iter().chain(&response.response_templates).next();
        if let Some((key, _, place)) = unused {
            let what =
                format!("`{}` has no effect: a proxy integration passes the answer as it is", shown(key));
            findings.warning(*place, what, "let the backend send it, or write type: http");
        }
        if response.content_handling.is_some() {
            let what = "`contentHandling` has no effect: a proxy integration passes the answer as it is";
            findings.warning(response.place, what, "remove it, or write type: http");
        }
    }
}

/// What is read, will not act, and does not reach the model: nobody else could tell.
fn without_effect(map: &Map, findings: &mut Findings<'_>) {
    for (key, meanwhile) in [
        ("credentials", "the backend is called without AWS credentials until then"),
        ("tlsConfig", "it has no effect until then"),
        ("integrationTarget", "it has no effect until then"),
    ] {
        if let Some(entry) = map.entry(key).filter(|e| e.value.value != super::node::Value::Null) {
            findings.unsupported(entry.place, key, meanwhile);
        }
    }
    if let Some(node) = map.node("responseTransferMode") {
        // Bodies are streamed either way: only the word is checked.
        findings.one_of(node, "responseTransferMode", &["BUFFERED", "STREAM"]);
    }
    for key in ["payloadFormatVersion", "integrationSubtype"] {
        if let Some(entry) = map.entry(key) {
            let text = findings.string(&entry.value, key).unwrap_or_default();
            if text != "1.0" {
                let what = format!("`{key}` belongs to HTTP APIs: it has no effect on a REST API");
                findings.warning(entry.place, what, "remove it");
            }
        }
    }
}
