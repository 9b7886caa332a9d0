//! Documentation parts: what a document says to people, each text with the place in the API that it is about.

use super::method::{list, resolved};
use super::{inner, text};
use crate::openapi::findings::Findings;
use crate::openapi::node::{Map, Node, Value};
use serde_json::Map as Json;

/// AWS's DocumentationPart, without an id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// API, RESOURCE, METHOD, PATH_PARAMETER and so on
    pub kind: String,
    pub path: Option<String>,
    pub method: Option<String>,
    pub status_code: Option<String>,
    pub name: Option<String>,
    pub properties: Json<String, serde_json::Value>,
}

/// What of a method, and what of `info` and the root is documentation.
pub const OF_METHOD: [&str; 5] = ["summary", "description", "tags", "deprecated", "externalDocs"];
pub const OF_RESOURCE: [&str; 2] = ["summary", "description"];
pub const OF_INFO: [&str; 3] = ["termsOfService", "contact", "license"];
pub const OF_API: [&str; 2] = ["tags", "externalDocs"];

pub(super) fn of_api(root: &Map) -> Option<Part> {
    let mut properties = kept(root, &OF_API);
    // Those with a value are the API's own tags.
    if let Some(serde_json::Value::Array(tags)) = properties.get_mut("tags") {
        tags.retain(|tag| tag.get("x-amazon-apigateway-tag-value").is_none());
        if tags.is_empty() {
            properties.shift_remove("tags");
        }
    }
    let info = inner(root, "info").map(|info| kept(info, &OF_INFO)).filter(|info| !info.is_empty());
    if let Some(info) = info {
        properties.insert("info".into(), info.into());
    }
    part("API", properties)
}

pub(super) fn of_resource(item: &Map, path: &str) -> Option<Part> {
    let part = part("RESOURCE", kept(item, &OF_RESOURCE))?;
    Some(Part { path: Some(path.to_owned()), ..part })
}

pub(super) fn of_method(
    map: &Map,
    item: &Map,
    root: &Map,
    (path, http_method): (&str, &str),
    findings: &mut Findings<'_>,
) -> Vec<Part> {
    let mut parts: Vec<Part> = part("METHOD", kept(map, &OF_METHOD)).into_iter().collect();
    let lists = [item, map].map(|map| map.node("parameters").map(|node| &node.value));
    for node in lists.into_iter().flatten().filter_map(list).flatten() {
        parts.extend(resolved(root, node, findings).and_then(of_parameter));
    }
    if let Some(body) = map.node("requestBody").and_then(|node| resolved(root, node, findings)) {
        parts.extend(part("REQUEST_BODY", kept(body, &["description"])));
    }
    for entry in inner(map, "responses").map_or(&[][..], |map| &map.entries) {
        let Some(response) = resolved(root, &entry.value, findings) else { continue };
        parts.extend(of_response(&entry.key, response, root, findings));
    }
    let placed = |part| Part { path: Some(path.to_owned()), method: Some(http_method.to_owned()), ..part };
    parts.into_iter().map(placed).collect()
}

fn of_parameter(map: &Map) -> Option<Part> {
    let (kind, named) = match text(map, "in")?.as_str() {
        "path" => ("PATH_PARAMETER", true),
        "query" => ("QUERY_PARAMETER", true),
        "header" => ("REQUEST_HEADER", true),
        "body" => ("REQUEST_BODY", false),
        _ => return None,
    };
    let part = part(kind, kept(map, &["description"]))?;
    Some(Part { name: text(map, "name").filter(|_| named), ..part })
}

fn of_response(status: &str, map: &Map, root: &Map, findings: &mut Findings<'_>) -> Vec<Part> {
    let told = text(map, "description").filter(|told| !told.is_empty() && *told != usual(status));
    let mut parts = Vec::new();
    if told.is_some() {
        parts.extend(part("RESPONSE", kept(map, &["description"])));
    }
    for entry in inner(map, "headers").map_or(&[][..], |map| &map.entries) {
        let header = resolved(root, &entry.value, findings);
        let found = header.and_then(|map| part("RESPONSE_HEADER", kept(map, &["description"])));
        parts.extend(found.map(|part| Part { name: Some(entry.key.clone()), ..part }));
    }
    parts.into_iter().map(|part| Part { status_code: Some(status.to_owned()), ..part }).collect()
}

/// What an export writes where nobody said anything.
pub fn usual(status: &str) -> String {
    format!("{status} response")
}

/// `x-amazon-apigateway-documentation.documentationParts`
pub(super) fn listed(root: &Map) -> Vec<Part> {
    let extension = inner(root, "x-amazon-apigateway-documentation");
    let listed = extension.and_then(|map| list(&map.node("documentationParts")?.value));
    listed.into_iter().flatten().filter_map(of_list).collect()
}

fn of_list(node: &Node) -> Option<Part> {
    let Value::Map(map) = &node.value else { return None };
    let location = inner(map, "location")?;
    let properties = match map.node("properties")?.to_json() {
        serde_json::Value::Object(properties) => properties,
        serde_json::Value::String(text) => serde_json::from_str(&text).ok()?,
        _ => return None,
    };
    Some(Part {
        kind: text(location, "type")?,
        path: text(location, "path"),
        method: text(location, "method"),
        status_code: text(location, "statusCode"),
        name: text(location, "name"),
        properties,
    })
}

fn kept(map: &Map, keys: &[&str]) -> Json<String, serde_json::Value> {
    let entries = map.entries.iter().filter(|entry| keys.contains(&entry.key.as_str()));
    let said = entries.filter(|entry| entry.value.value != Value::Null);
    said.map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
}

fn part(kind: &str, properties: Json<String, serde_json::Value>) -> Option<Part> {
    let nothing = properties.is_empty();
    (!nothing).then(|| Part { kind: kind.to_owned(), properties, ..Part::default() })
}
