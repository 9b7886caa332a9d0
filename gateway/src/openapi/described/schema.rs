//! Models: the schemas that a document names, and those that stand where they are used, which get names of their own.

use super::inner;
use crate::openapi::findings::Findings;
use crate::openapi::node::{Map, Node, Value, shown};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Where a schema of OpenAPI 2.0 stands; every reference to a model begins so in what is read.
pub const REFERENCE: &str = "#/definitions/";
/// And one of OpenAPI 3.0.
pub const REFERENCE_3: &str = "#/components/schemas/";

#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Letters and digits.
    pub name: String,
    /// References to other models are `#/definitions/{name}`.
    pub schema: Json,
}

#[derive(Default)]
pub(super) struct Models {
    models: Vec<Model>,
    /// By the name that the document uses.
    names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Models {
    /// `definitions` (2.0) or `components.schemas` (3.0).
    pub(super) fn read(root: &Map, findings: &mut Findings<'_>) -> Self {
        let of_3 = inner(root, "components").and_then(|components| inner(components, "schemas"));
        let entries = inner(root, "definitions").or(of_3).map_or(&[][..], |map| &map.entries);
        let mut models = Self::default();
        for entry in entries {
            let plain: String = entry.key.chars().filter(char::is_ascii_alphanumeric).collect();
            let name = match plain.is_empty() || models.taken.contains(&plain) {
                true => format!("{plain}{}", digest(&entry.key)),
                false => plain,
            };
            if name != entry.key {
                let what =
                    format!("models have names of letters and digits: `{}` is `{name}`", shown(&entry.key));
                findings.warning(entry.place, what, format!("write {name}"));
            }
            models.taken.insert(name.clone());
            models.names.insert(entry.key.clone(), name);
        }
        for entry in entries {
            let model = Model { name: models.names[&entry.key].clone(), schema: models.schema(&entry.value) };
            models.models.push(model);
        }
        models
    }

    /// The name of the model that a `schema` means. None: it says nothing of a body.
    pub(super) fn meant(&mut self, node: &Node) -> Option<String> {
        let Value::Map(map) = &node.value else { return None };
        if let Some(Value::String(reference)) = map.node("$ref").map(|node| &node.value) {
            let name = named(reference)?;
            return self.names.get(&name).cloned();
        }
        if map.entries.is_empty() {
            return Some("Empty".to_owned());
        }
        let schema = self.schema(node);
        let name = format!("MODEL{}", digest(&schema.to_string()));
        if self.taken.insert(name.clone()) {
            self.models.push(Model { name: name.clone(), schema });
        }
        Some(name)
    }

    pub(super) fn finish(self) -> Vec<Model> {
        self.models
    }

    fn schema(&self, node: &Node) -> Json {
        let mut schema = node.to_json();
        rename(&mut schema, &|reference| {
            let (name, rest) = split(reference)?;
            Some(format!("{REFERENCE}{}{rest}", self.names.get(&name).unwrap_or(&name)))
        });
        schema
    }
}

/// Every `$ref` of a schema for which `to` has something else.
pub fn rename(schema: &mut Json, to: &dyn Fn(&str) -> Option<String>) {
    match schema {
        Json::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Json::String(reference) if key == "$ref" => {
                        if let Some(renamed) = to(reference) {
                            *reference = renamed;
                        }
                    }
                    inner => rename(inner, to),
                }
            }
        }
        Json::Array(list) => list.iter_mut().for_each(|inner| rename(inner, to)),
        _ => {}
    }
}

/// The model that a reference names, and what follows its name.
fn split(reference: &str) -> Option<(String, &str)> {
    let rest = reference.strip_prefix(REFERENCE).or_else(|| reference.strip_prefix(REFERENCE_3))?;
    let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
    Some((name.replace("~1", "/").replace("~0", "~"), &rest[name.len()..]))
}

fn named(reference: &str) -> Option<String> {
    split(reference).filter(|(_, rest)| rest.is_empty()).map(|(name, _)| name)
}

/// The same text has the same name, in every import.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
