//! Schemas of bodies: the document's own, and what a method's body has to fit.

use super::api::Shared;
use super::findings::Findings;
use super::method::Parameter;
use super::node::{Map, Node, Value};
use super::reference;
use crate::model::{MODELS_URL, Model, Place};
use serde_json::Value as Json;

/// Where documents keep schemas that others refer to.
const PLACES: [&str; 2] = ["#/definitions/", "#/components/schemas/"];

/// `definitions` (2.0) or `components.schemas` (3.0).
pub(crate) fn read(root: &Map, findings: &mut Findings<'_>) -> Vec<Model> {
    let components = root.node("components").and_then(|node| match &node.value {
        Value::Map(map) => map.node("schemas"),
        _ => None,
    });
    let Some(node) = root.node("definitions").or(components).filter(|node| node.value != Value::Null) else {
        return Vec::new();
    };
    let entries = findings.map(node, "schemas").map_or(&[][..], |map| &map.entries);
    entries
        .iter()
        .map(|entry| Model { name: entry.key.clone(), schema: schema(&entry.value), place: entry.place })
        .collect()
}

/// The node as a schema, with references to the document's own ones as AWS writes them.
pub(crate) fn schema(node: &Node) -> Json {
    let mut schema = node.to_json();
    refer(&mut schema);
    schema
}

fn refer(value: &mut Json) {
    match value {
        Json::Array(list) => list.iter_mut().for_each(refer),
        Json::Object(map) => {
            if let Some(Json::String(text)) = map.get_mut("$ref") {
                let rest = PLACES.iter().find_map(|place| text.strip_prefix(place));
                if let Some(rest) = rest {
                    let (name, inside) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
                    let inside = inside.map_or(String::new(), |inside| format!("#/{inside}"));
                    *text = format!("{MODELS_URL}-/models/{name}{inside}");
                }
            }
            map.values_mut().for_each(refer);
        }
        _ => {}
    }
}

/// media type → name of a model, of a method's `requestBody` or its body parameter. Schemas without a name get one.
pub(crate) fn of_method(
    method: &Map,
    parameters: &[&Parameter],
    scope: &str,
    shared: &Shared<'_>,
    findings: &mut Findings<'_>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(node) = method.node("requestBody").filter(|node| node.value != Value::Null) {
        let content = reference::resolve(shared.root, node, findings)
            .and_then(|node| findings.map(node, "requestBody"))
            .and_then(|map| map.node("content"))
            .and_then(|node| findings.map(node, "content"));
        for entry in content.map_or(&[][..], |map| &map.entries) {
            let media_type = findings.map(&entry.value, &entry.key);
            let Some(node) = media_type.and_then(|map| map.node("schema")) else { continue };
            found.push((entry.key.to_ascii_lowercase(), schema(node), entry.place));
        }
    }
    // The method's own wins over that of its path.
    if let Some((schema, place)) = parameters.iter().rev().find_map(|parameter| parameter.body()) {
        let consumes = method.node("consumes").or_else(|| shared.root.node("consumes"));
        let types = consumes.and_then(|node| findings.list(node, "consumes")).unwrap_or_default();
        let types: Vec<String> = types
            .iter()
            .filter_map(|node| findings.string(node, "consumes").map(str::to_ascii_lowercase))
            .collect();
        let default = vec!["application/json".to_owned()];
        for media_type in if types.is_empty() { default } else { types } {
            found.push((media_type, schema.clone(), place));
        }
    }
    found
        .into_iter()
        .map(|(media_type, schema, place)| (media_type, named(schema, place, scope, shared)))
        .collect()
}

/// The name of the model that the schema is, or is made.
fn named(schema: Json, place: Place, scope: &str, shared: &Shared<'_>) -> String {
    let prefix = format!("{MODELS_URL}-/models/");
    if let Some(name) = schema["$ref"].as_str().and_then(|text| text.strip_prefix(&prefix))
        && !name.contains('#')
    {
        return name.to_owned();
    }
    let mut unnamed = shared.unnamed.borrow_mut();
    // No name of a document has a space.
    let name = format!("{scope} {}", unnamed.len() + 1);
    unnamed.push(Model { name: name.clone(), schema, place });
    name
}
