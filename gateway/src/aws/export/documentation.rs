//! Documentation parts: those that are about one place of the document are written there, the rest in AWS's extension.

use crate::aws::deployment::Snapshot;
use crate::openapi::documentation::{OF_API, OF_INFO, OF_METHOD, OF_RESOURCE};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// type, path, method, status, name
type Place = (String, String, String, String, String);

pub(super) struct Documentation {
    at: BTreeMap<Place, Map<String, Value>>,
    rest: Vec<Value>,
}

impl Documentation {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut documentation = Self { at: BTreeMap::new(), rest: Vec::new() };
        for part in &snapshot.documentation {
            let text = |key: &str| part["location"][key].as_str().unwrap_or_default().to_owned();
            let properties = part["properties"].as_str().and_then(|text| serde_json::from_str(text).ok());
            let properties: Map<String, Value> = properties.unwrap_or_default();
            let place = (text("type"), text("path"), text("method"), text("statusCode"), text("name"));
            if has_place(snapshot, &place, &properties) {
                documentation.at.insert(place, properties);
            } else {
                documentation.rest.push(json!({ "location": part["location"], "properties": properties }));
            }
        }
        documentation
    }

    pub(super) fn of_resource(&self, path: &str) -> Map<String, Value> {
        self.whole("RESOURCE", path, "")
    }

    pub(super) fn of_method(&self, (path, method): (&str, &str)) -> Map<String, Value> {
        self.whole("METHOD", path, method)
    }

    fn whole(&self, kind: &str, path: &str, method: &str) -> Map<String, Value> {
        let place = (kind.to_owned(), path.to_owned(), method.to_owned(), String::new(), String::new());
        self.at.get(&place).cloned().unwrap_or_default()
    }

    pub(super) fn description(
        &self,
        kind: &str,
        (path, method): (&str, &str),
        status: Option<&str>,
        name: Option<&str>,
    ) -> Option<Value> {
        let [status, name] = [status, name].map(|text| text.unwrap_or_default().to_owned());
        let place = (kind.to_owned(), path.to_owned(), method.to_owned(), status, name);
        self.at.get(&place)?.get("description").cloned()
    }

    /// What is said of the API as a whole: beside its title, and at the root.
    pub(super) fn write_api(&self, root: &mut Map<String, Value>) {
        let mut properties = self.whole("API", "", "");
        if let (Some(Value::Object(told)), Some(Value::Object(info))) =
            (properties.shift_remove("info"), root.get_mut("info"))
        {
            info.extend(told);
        }
        root.extend(properties);
    }

    /// `x-amazon-apigateway-documentation`
    pub(super) fn rest(&self) -> Map<String, Value> {
        let mut written = Map::new();
        if !self.rest.is_empty() {
            written.insert("documentationParts".into(), self.rest.clone().into());
        }
        written
    }
}

/// Is there such a place in the document, and room there for all that is said?
fn has_place(snapshot: &Snapshot, place: &Place, properties: &Map<String, Value>) -> bool {
    let (kind, path, http_method, status, name) = place;
    let only = |keys: &[&str]| properties.keys().all(|key| keys.contains(&key.as_str()));
    let described = only(&["description"]) && properties.get("description").is_some_and(Value::is_string);
    let resource = snapshot.resources.iter().find(|resource| resource.path == *path);
    let method = resource.and_then(|resource| resource.resource_methods.get(http_method));
    let takes = |place: &str| {
        let parameter = format!("method.request.{place}.{name}");
        described && method.is_some_and(|method| method.request_parameters.contains_key(&parameter))
    };
    let promised = method.and_then(|method| method.method_responses.get(status));
    match kind.as_str() {
        "API" => {
            let nowhere = path.is_empty() && http_method.is_empty() && status.is_empty() && name.is_empty();
            let info = properties.get("info").is_none_or(|info| {
                info.as_object().is_some_and(|info| info.keys().all(|key| OF_INFO.contains(&key.as_str())))
            });
            nowhere && info && only(&[&OF_API[..], &["info"]].concat())
        }
        "RESOURCE" => only(&OF_RESOURCE) && http_method.is_empty() && resource.is_some(),
        "METHOD" => only(&OF_METHOD) && method.is_some(),
        "PATH_PARAMETER" => takes("path"),
        "QUERY_PARAMETER" => takes("querystring"),
        "REQUEST_HEADER" => takes("header"),
        "REQUEST_BODY" => {
            described && name.is_empty() && method.is_some_and(|method| !method.request_models.is_empty())
        }
        "RESPONSE" => described && promised.is_some(),
        "RESPONSE_HEADER" => {
            let header = format!("method.response.header.{name}");
            described && promised.is_some_and(|response| response.response_parameters.contains_key(&header))
        }
        _ => false,
    }
}
