//! What a document says beyond what the data plane serves by: its models and validators, what its methods
//! take and promise, and its documentation. It is read after the document was found to have no errors.

pub mod documentation;
mod method;
pub mod schema;

pub use documentation::Part;
pub use method::{DescribedIntegration, DescribedMethod, DescribedResponse};
pub use schema::Model;

use super::findings::Findings;
use super::method::METHODS;
use super::node::{Map, Value};
use super::{path, reference};
use std::collections::BTreeMap;

/// Of a whole document. What it does not say is None or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// `info.version`; the date that an export carries there is none.
    pub version: Option<String>,
    /// HEADER or AUTHORIZER
    pub api_key_source: Option<String>,
    /// ipv4 or dualstack
    pub ip_address_type: Option<String>,
    pub disable_execute_api_endpoint: Option<bool>,
    pub security_policy: Option<String>,
    pub endpoint_access_mode: Option<String>,
    /// `tags` with `x-amazon-apigateway-tag-value`
    pub tags: BTreeMap<String, String>,
    pub models: Vec<Model>,
    pub validators: Vec<Validator>,
    pub documentation: Vec<Part>,
    /// By path and HTTP method, as the model writes them.
    pub methods: BTreeMap<(String, String), DescribedMethod>,
}

/// An entry of `x-amazon-apigateway-request-validators`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    pub name: String,
    pub body: bool,
    pub parameters: bool,
}

pub(super) fn read(root: &Map, findings: &mut Findings<'_>) -> Described {
    let mut described = Described {
        version: inner(root, "info").and_then(|info| text(info, "version")).filter(|text| !is_date(text)),
        api_key_source: text(root, "x-amazon-apigateway-api-key-source").map(|word| word.to_uppercase()),
        security_policy: text(root, "x-amazon-apigateway-security-policy"),
        endpoint_access_mode: text(root, "x-amazon-apigateway-endpoint-access-mode"),
        tags: tags(root),
        validators: validators(root),
        ..Described::default()
    };
    endpoint(root, &mut described);
    let mut models = schema::Models::read(root, findings);
    let mut parts: Vec<Part> = documentation::of_api(root).into_iter().collect();
    let validator = text(root, "x-amazon-apigateway-request-validator");
    let shared = method::Shared { root, validator, is_2: root.node("swagger").is_some() };
    for entry in inner(root, "paths").map_or(&[][..], |paths| &paths.entries) {
        let Ok((path, _)) = path::parse(&entry.key) else { continue };
        let Some(Value::Map(item)) = reference::resolve(root, &entry.value, findings).map(|n| &n.value)
        else {
            continue;
        };
        parts.extend(documentation::of_resource(item, &path));
        for (key, http_method) in METHODS {
            let Some(map) = inner(item, key) else { continue };
            findings.scope = format!("{http_method} {path}");
            let found = method::read(map, item, &shared, &mut models, findings);
            parts.extend(documentation::of_method(map, item, root, (&path, http_method), findings));
            findings.scope.clear();
            described.methods.insert((path.clone(), http_method.to_owned()), found);
        }
    }
    parts.extend(documentation::listed(root));
    described.documentation = parts;
    described.models = models.finish();
    described
}

/// `2024-03-11T09:26:44Z`: what an export writes as version where its API has none.
fn is_date(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00Z";
    text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

/// The configuration of the endpoint at the root, or at a server.
fn endpoint(root: &Map, described: &mut Described) {
    const KEY: &str = "x-amazon-apigateway-endpoint-configuration";
    let servers = match root.node("servers").map(|node| &node.value) {
        Some(Value::List(servers)) => servers.as_slice(),
        _ => &[],
    };
    let of_server = |server: &super::node::Node| match &server.value {
        Value::Map(map) => inner(map, KEY).cloned(),
        _ => None,
    };
    for map in servers.iter().filter_map(of_server).chain(inner(root, KEY).cloned()) {
        described.ip_address_type = text(&map, "ipAddressType").or(described.ip_address_type.take());
        described.disable_execute_api_endpoint =
            flag(&map, "disableExecuteApiEndpoint").or(described.disable_execute_api_endpoint);
    }
}

fn tags(root: &Map) -> BTreeMap<String, String> {
    let Some(Value::List(list)) = root.node("tags").map(|node| &node.value) else { return BTreeMap::new() };
    let tag = |node: &super::node::Node| match &node.value {
        Value::Map(map) => Some((text(map, "name")?, text(map, "x-amazon-apigateway-tag-value")?)),
        _ => None,
    };
    list.iter().filter_map(tag).collect()
}

fn validators(root: &Map) -> Vec<Validator> {
    let entries = inner(root, "x-amazon-apigateway-request-validators").map_or(&[][..], |map| &map.entries);
    let validator = |entry: &super::node::Entry| match &entry.value.value {
        Value::Map(map) => Some(Validator {
            name: entry.key.clone(),
            body: flag(map, "validateRequestBody").unwrap_or(false),
            parameters: flag(map, "validateRequestParameters").unwrap_or(false),
        }),
        _ => None,
    };
    entries.iter().filter_map(validator).collect()
}

/// The map under a key, if it is one.
fn inner<'n>(map: &'n Map, key: &str) -> Option<&'n Map> {
    match &map.node(key)?.value {
        Value::Map(inner) => Some(inner),
        _ => None,
    }
}

fn text(map: &Map, key: &str) -> Option<String> {
    match &map.node(key)?.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn flag(map: &Map, key: &str) -> Option<bool> {
    match &map.node(key)?.value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" || text == "false" => Some(text == "true"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
