//! What a method takes and promises: models, response headers, its validator, and what its integration says that the
//! data plane does not act by.

use super::schema::Models;
use super::{flag, inner, text};
use crate::openapi::findings::Findings;
use crate::openapi::node::{Map, Node, Value};
use crate::openapi::reference;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedMethod {
    /// `operationId`
    pub operation_name: Option<String>,
    /// Media type → model
    pub request_models: BTreeMap<String, String>,
    /// By name: the method's own, else the document's.
    pub validator: Option<String>,
    /// By status, of three digits
    pub responses: BTreeMap<String, DescribedResponse>,
    pub integration: DescribedIntegration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedResponse {
    /// Media type → model
    pub models: BTreeMap<String, String>,
    /// Header → is it required?
    pub headers: BTreeMap<String, bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedIntegration {
    pub credentials: Option<String>,
    pub connection_type: Option<String>,
    pub insecure_skip_verification: Option<bool>,
    pub response_transfer_mode: Option<String>,
    pub integration_target: Option<String>,
}

/// What methods need to know of the rest of the document.
pub(super) struct Shared<'n> {
    pub(super) root: &'n Map,
    pub(super) validator: Option<String>,
    /// OpenAPI 2.0
    pub(super) is_2: bool,
}

const JSON: &str = "application/json";

/// `item`: the path item that the method stands in.
pub(super) fn read(
    map: &Map,
    item: &Map,
    shared: &Shared<'_>,
    models: &mut Models,
    findings: &mut Findings<'_>,
) -> DescribedMethod {
    let mut method = DescribedMethod {
        operation_name: text(map, "operationId"),
        validator: text(map, "x-amazon-apigateway-request-validator").or_else(|| shared.validator.clone()),
        ..DescribedMethod::default()
    };
    request(map, item, shared, models, &mut method, findings);
    let produces = media_types(map, shared.root, "produces");
    for entry in inner(map, "responses").map_or(&[][..], |map| &map.entries) {
        let is_status = entry.key.len() == 3 && entry.key.bytes().all(|byte| byte.is_ascii_digit());
        if !is_status {
            continue;
        }
        let Some(found) = resolved(shared.root, &entry.value, findings) else { continue };
        let response = response(found, shared, models, &produces, findings);
        method.responses.insert(entry.key.clone(), response);
    }
    if let Some(node) = map.node("x-amazon-apigateway-integration")
        && let Some(map) = resolved(shared.root, node, findings)
    {
        method.integration = integration(map);
    }
    method
}

fn request(
    map: &Map,
    item: &Map,
    shared: &Shared<'_>,
    models: &mut Models,
    method: &mut DescribedMethod,
    findings: &mut Findings<'_>,
) {
    if !shared.is_2 {
        let body = map.node("requestBody").and_then(|node| resolved(shared.root, node, findings));
        method.request_models = body.map_or_else(BTreeMap::new, |body| contents(body, models));
        return;
    }
    let lists = [map, item].map(|map| map.node("parameters").map(|node| &node.value));
    for node in lists.into_iter().flatten().filter_map(list).flatten() {
        let Some(parameter) = resolved(shared.root, node, findings) else { continue };
        if text(parameter, "in").as_deref() != Some("body") {
            continue;
        }
        if let Some(model) = parameter.node("schema").and_then(|schema| models.meant(schema)) {
            let consumes = media_types(map, shared.root, "consumes");
            method.request_models = consumes.into_iter().map(|kind| (kind, model.clone())).collect();
        }
        // The method's own stands first.
        return;
    }
}

fn response(
    map: &Map,
    shared: &Shared<'_>,
    models: &mut Models,
    produces: &[String],
    findings: &mut Findings<'_>,
) -> DescribedResponse {
    let mut response = DescribedResponse::default();
    for entry in inner(map, "headers").map_or(&[][..], |map| &map.entries) {
        let required = resolved(shared.root, &entry.value, findings).and_then(|map| flag(map, "required"));
        response.headers.insert(entry.key.clone(), required.unwrap_or(false));
    }
    if !shared.is_2 {
        response.models = contents(map, models);
    } else if let Some(model) = map.node("schema").and_then(|schema| models.meant(schema)) {
        response.models = produces.iter().map(|kind| (kind.clone(), model.clone())).collect();
    }
    response
}

/// `content` of OpenAPI 3.0
fn contents(map: &Map, models: &mut Models) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in inner(map, "content").map_or(&[][..], |map| &map.entries) {
        let Value::Map(content) = &entry.value.value else { continue };
        if let Some(model) = content.node("schema").and_then(|schema| models.meant(schema)) {
            found.insert(entry.key.clone(), model);
        }
    }
    found
}

/// The method's, else the document's, else JSON.
fn media_types(map: &Map, root: &Map, key: &str) -> Vec<String> {
    let listed = map.node(key).or_else(|| root.node(key)).and_then(|node| list(&node.value));
    let texts = listed.into_iter().flatten().filter_map(|node| match &node.value {
        Value::String(text) if text.contains('/') => Some(text.clone()),
        _ => None,
    });
    let found: Vec<String> = texts.collect();
    if found.is_empty() { vec![JSON.to_owned()] } else { found }
}

fn integration(map: &Map) -> DescribedIntegration {
    DescribedIntegration {
        credentials: text(map, "credentials"),
        connection_type: text(map, "connectionType").map(|word| word.to_uppercase()),
        insecure_skip_verification: inner(map, "tlsConfig")
            .and_then(|tls| flag(tls, "insecureSkipVerification")),
        response_transfer_mode: text(map, "responseTransferMode").map(|word| word.to_uppercase()),
        integration_target: text(map, "integrationTarget"),
    }
}

/// The map that a node is, or that its `$ref` points at.
pub(super) fn resolved<'n>(root: &'n Map, node: &'n Node, findings: &mut Findings<'_>) -> Option<&'n Map> {
    match &reference::resolve(root, node, findings)?.value {
        Value::Map(map) => Some(map),
        _ => None,
    }
}

pub(super) fn list(value: &Value) -> Option<&[Node]> {
    match value {
        Value::List(list) => Some(list),
        _ => None,
    }
}
