//! A method: its parameters, validator, security, responses and integration.

use super::api::Shared;
use super::findings::Findings;
use super::node::{Entry, Map, Node, Value, shown};
use super::path::Segment;
use super::{integration, models, reference, security};
use crate::model::{Method, Place};
use std::collections::BTreeMap;

/// Keys of a path item that are methods, and the method.
pub(crate) const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("x-amazon-apigateway-any-method", "ANY"),
];

const KEYS: [&str; 19] = [
    "operationId",
    "summary",
    "description",
    "tags",
    "consumes",
    "produces",
    "parameters",
    "requestBody",
    "responses",
    "security",
    "deprecated",
    "servers",
    "callbacks",
    "externalDocs",
    "schemes",
    "x-amazon-apigateway-integration",
    "x-amazon-apigateway-request-validator",
    "x-amazon-apigateway-auth",
    "x-amazon-apigateway-documentation",
];

/// A parameter as the document declares it.
pub(crate) struct Parameter {
    location: &'static str,
    name: String,
    required: bool,
    place: Place,
    /// Of a body, which is no parameter in AWS's sense.
    schema: Option<serde_json::Value>,
}

impl Parameter {
    pub(crate) fn body(&self) -> Option<(serde_json::Value, Place)> {
        Some((self.schema.clone()?, self.place))
    }
}

pub(crate) fn read(
    entry: &Entry,
    http_method: &str,
    path: &[Segment<'_>],
    inherited: &[Parameter],
    shared: &Shared<'_>,
    findings: &mut Findings<'_>,
) -> Option<Method> {
    let map = findings.map(&entry.value, &entry.key)?;
    findings.unknown_keys(map, "a method", &KEYS);
    let own = map.node("parameters").map_or_else(Vec::new, |n| parameters(n, path, shared, findings));
    let mut required = match map.node("security") {
        Some(node) => security::required(node, &shared.schemes, findings),
        None => shared.required.clone(),
    };
    if let Some(node) = map.node("x-amazon-apigateway-auth") {
        security::auth_extension(node, &mut required, findings);
    }
    let validates = match map.node("x-amazon-apigateway-request-validator") {
        Some(node) => shared.validator(node, findings),
        None => shared.validates,
    };
    let integration = match map.entry("x-amazon-apigateway-integration") {
        Some(entry) => reference::resolve(shared.root, &entry.value, findings)
            .and_then(|node| integration::read(node, entry.place, path, findings)),
        None => {
            let instead = "add x-amazon-apigateway-integration; requests to it answer 500 until then";
            findings.warning(entry.place, "this method has no integration", instead);
            None
        }
    };
    let all: Vec<&Parameter> = inherited.iter().chain(&own).collect();
    let scope = findings.scope.clone();
    let request_models = models::of_method(map, &all, &scope, shared, findings);
    Some(Method {
        http_method: http_method.to_owned(),
        place: entry.place,
        authorization: required.authorization,
        authorization_scopes: required.scopes,
        api_key_required: required.api_key,
        request_parameters: request_parameters(inherited, &own, findings),
        validate_parameters: validates.parameters,
        validate_body: validates.body,
        request_models,
        integration,
        responses: responses(map, findings),
    })
}

/// The `parameters` of a path item or a method.
pub(crate) fn parameters(
    node: &Node,
    path: &[Segment<'_>],
    shared: &Shared<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for node in findings.list(node, "parameters").unwrap_or_default() {
        let Some(target) = reference::resolve(shared.root, node, findings) else { continue };
        let Some(map) = findings.map(target, "parameters") else { continue };
        parameters.extend(parameter(map, node.place, path, findings));
    }
    parameters
}

fn parameter(
    map: &Map,
    place: Place,
    path: &[Segment<'_>],
    findings: &mut Findings<'_>,
) -> Option<Parameter> {
    const PLACES: [&str; 6] = ["path", "query", "header", "body", "formData", "cookie"];
    let Some(location) = map.node("in") else {
        findings.error(
            place,
            "this parameter does not say where it stands",
            "write in: path, query or header",
        );
        return None;
    };
    let location = findings.one_of(location, "in", &PLACES)?;
    let Some(node) = map.node("name") else {
        findings.error(place, "this parameter has no `name`", "write name: the parameter's name");
        return None;
    };
    let name = findings.string(node, "name")?.to_owned();
    if name.is_empty() {
        findings.error(node.place, "this parameter has an empty `name`", "write name: the parameter's name");
        return None;
    }
    let required = map.node("required").and_then(|n| findings.boolean(n, "required")).unwrap_or(false);
    let location = match location {
        0 => "path",
        1 => "querystring",
        2 => "header",
        3 => {
            let schema = Some(map.node("schema").map_or_else(|| serde_json::json!({}), models::schema));
            return Some(Parameter { location: "body", name, required: false, place, schema });
        }
        other => {
            let what = format!(
                "API Gateway has no {} parameters: `{}` is not looked at",
                PLACES[other],
                shown(&name)
            );
            findings.warning(place, what, "describe it as a header, or in the body");
            return None;
        }
    };
    let captured = path.iter().any(|s| matches!(s, Segment::Variable(n) | Segment::Greedy(n) if *n == name));
    if location == "path" && !captured {
        let what = format!("the path has no `{{{}}}`", shown(&name));
        findings.warning(place, what, "add it to the path, or remove this parameter");
    }
    Some(Parameter { location, name, required: required || location == "path", place, schema: None })
}

/// The method's own parameters win over those of its path item.
fn request_parameters(
    inherited: &[Parameter],
    own: &[Parameter],
    findings: &mut Findings<'_>,
) -> BTreeMap<String, bool> {
    let mut all = BTreeMap::new();
    let mut locations: BTreeMap<&str, &Parameter> = BTreeMap::new();
    for parameter in inherited.iter().chain(own).filter(|parameter| parameter.schema.is_none()) {
        if let Some(first) = locations.insert(&parameter.name, parameter)
            && first.location != parameter.location
        {
            let what = format!(
                "`{}` is a {} and a {} parameter: names must be unique across querystring, header and path",
                shown(&parameter.name),
                first.location,
                parameter.location
            );
            findings.error(parameter.place, what, "rename one of them");
        }
        all.insert(format!("method.request.{}.{}", parameter.location, parameter.name), parameter.required);
    }
    all
}

fn responses(map: &Map, findings: &mut Findings<'_>) -> Vec<String> {
    let Some(node) = map.node("responses") else { return Vec::new() };
    if node.value == Value::Null {
        return Vec::new();
    }
    let entries = findings.map(node, "responses").map_or(&[][..], |m| &m.entries);
    entries.iter().map(|e| e.key.clone()).filter(|k| !k.starts_with("x-")).collect()
}
