//! Paths and methods: what each takes, promises, demands, and what answers it.

use super::documentation::Documentation;
use super::{Extensions, Form, integration, put, security, validator_name};
use crate::aws::deployment::Snapshot;
use crate::aws::method::Method;
use crate::aws::method_response::MethodResponse;
use crate::aws::resource::Resource;
use crate::openapi::documentation::usual;
use crate::openapi::schema;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// In the order of AWS's exports, with their keys.
pub(in crate::aws) const METHODS: [(&str, &str); 8] = [
    ("GET", "get"),
    ("PUT", "put"),
    ("POST", "post"),
    ("DELETE", "delete"),
    ("OPTIONS", "options"),
    ("HEAD", "head"),
    ("PATCH", "patch"),
    ("ANY", "x-amazon-apigateway-any-method"),
];

pub(super) struct Exported<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) form: Form,
    pub(super) extensions: Extensions,
    pub(super) documentation: &'a Documentation,
}

/// In the order of the paths. Resources without methods stand there only if nothing below them does.
pub(super) fn paths(exported: &Exported<'_>) -> Value {
    let mut resources: Vec<&Resource> = exported.snapshot.resources.iter().collect();
    resources.sort_by(|a, b| a.path.cmp(&b.path));
    let has_children = |resource: &Resource| {
        let id = Some(&resource.id);
        exported.snapshot.resources.iter().any(|other| other.parent_id.as_ref() == id)
    };
    let mut paths = Map::new();
    for resource in resources {
        let mut item = exported.documentation.of_resource(&resource.path);
        for (name, key) in METHODS {
            if let Some(method) = resource.resource_methods.get(name) {
                item.insert(key.into(), operation(exported, resource, method));
            }
        }
        if !item.is_empty() || (resource.path != "/" && !has_children(resource)) {
            paths.insert(resource.path.clone(), item.into());
        }
    }
    paths.into()
}

/// Does a method or another model refer to the model?
pub(super) fn uses(snapshot: &Snapshot, model: &str) -> bool {
    let of_method = |method: &Method| {
        let responses =
            method.method_responses.values().flat_map(|response| response.response_models.values());
        method.request_models.values().chain(responses).any(|name| name == model)
    };
    let referred = format!("/models/{model}\"");
    let in_schema = |found: &Value| found["schema"].as_str().is_some_and(|schema| schema.contains(&referred));
    snapshot.resources.iter().flat_map(|resource| resource.resource_methods.values()).any(of_method)
        || snapshot.models.iter().any(in_schema)
}

fn operation(exported: &Exported<'_>, resource: &Resource, method: &Method) -> Value {
    let at = (resource.path.as_str(), method.http_method.as_str());
    let mut operation = exported.documentation.of_method(at);
    if let Some(name) = &method.operation_name {
        operation.insert("operationId".into(), name.clone().into());
    }
    let mut parameters = parameters(exported, method, at);
    if exported.form == Form::Swagger {
        media_types(method, &mut operation);
        parameters.extend(body_2(exported, method, at));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if exported.form == Form::Oas30 {
        put(&mut operation, "requestBody", body_3(exported, method, at));
    }
    operation.insert("responses".into(), responses(exported, method, at).into());
    let security = security::required(method, exported.snapshot);
    if !security.is_empty() {
        operation.insert("security".into(), security.into());
    }
    if exported.extensions.integrations {
        let validator = exported.snapshot.validators.iter().find(|validator| {
            method.request_validator_id.is_some()
                && validator["id"].as_str() == method.request_validator_id.as_deref()
        });
        if let Some(validator) = validator {
            let name = validator_name(exported.snapshot, validator);
            operation.insert("x-amazon-apigateway-request-validator".into(), name.into());
        }
        if let Some(found) = &method.method_integration {
            let written = integration::written(found, resource, exported.snapshot);
            operation.insert("x-amazon-apigateway-integration".into(), written.into());
        }
    }
    operation.into()
}

fn parameters(exported: &Exported<'_>, method: &Method, at: (&str, &str)) -> Vec<Value> {
    const PLACES: [(&str, &str, &str); 3] = [
        ("method.request.path.", "path", "PATH_PARAMETER"),
        ("method.request.querystring.", "query", "QUERY_PARAMETER"),
        ("method.request.header.", "header", "REQUEST_HEADER"),
    ];
    let mut parameters = Vec::new();
    for (prefix, place, kind) in PLACES {
        for (name, required) in &method.request_parameters {
            let Some(name) = name.strip_prefix(prefix) else { continue };
            let mut parameter = Map::new();
            parameter.insert("name".into(), name.into());
            parameter.insert("in".into(), place.into());
            if let Some(told) = exported.documentation.description(kind, at, None, Some(name)) {
                parameter.insert("description".into(), told);
            }
            let required = *required || place == "path";
            match exported.form {
                Form::Swagger => {
                    parameter.insert("required".into(), required.into());
                    parameter.insert("type".into(), "string".into());
                }
                Form::Oas30 => {
                    if required {
                        parameter.insert("required".into(), true.into());
                    }
                    parameter.insert("schema".into(), json!({ "type": "string" }));
                }
            }
            parameters.push(parameter.into());
        }
    }
    parameters
}

/// What a method takes and gives, as far as OpenAPI 2.0 can say it: of models and templates together.
fn media_types(method: &Method, operation: &mut Map<String, Value>) {
    let integration = method.method_integration.as_ref();
    let templates = integration.map(|integration| integration.request_templates.keys());
    let consumes: BTreeSet<&String> = method
        .request_models
        .keys()
        .chain(templates.into_iter().flatten())
        .filter(|kind| kind.contains('/'))
        .collect();
    let models = method.method_responses.values().flat_map(|response| response.response_models.keys());
    let responses =
        integration.into_iter().flat_map(|integration| integration.integration_responses.values());
    let templates = responses.flat_map(|response| response.response_templates.keys());
    let produces: BTreeSet<&String> = models.chain(templates).filter(|kind| kind.contains('/')).collect();
    for (key, kinds) in [("consumes", consumes), ("produces", produces)] {
        if !kinds.is_empty() {
            operation.insert(key.into(), json!(kinds));
        }
    }
}

fn reference(exported: &Exported<'_>, model: &str) -> Value {
    let to = match exported.form {
        Form::Swagger => schema::REFERENCE,
        Form::Oas30 => schema::REFERENCE_3,
    };
    json!({ "$ref": format!("{to}{model}") })
}

/// OpenAPI 2.0 has one schema for all media types: JSON's, else the first.
fn body_2(exported: &Exported<'_>, method: &Method, at: (&str, &str)) -> Option<Value> {
    let models = &method.request_models;
    let model = models.get("application/json").or_else(|| models.values().next())?;
    let mut body = Map::new();
    body.insert("in".into(), "body".into());
    body.insert("name".into(), model.clone().into());
    if let Some(told) = exported.documentation.description("REQUEST_BODY", at, None, None) {
        body.insert("description".into(), told);
    }
    body.insert("required".into(), true.into());
    body.insert("schema".into(), reference(exported, model));
    Some(body.into())
}

fn body_3(exported: &Exported<'_>, method: &Method, at: (&str, &str)) -> Map<String, Value> {
    let mut body = Map::new();
    if method.request_models.is_empty() {
        return body;
    }
    if let Some(told) = exported.documentation.description("REQUEST_BODY", at, None, None) {
        body.insert("description".into(), told);
    }
    let kinds = method.request_models.iter();
    let content: Map<String, Value> =
        kinds.map(|(kind, model)| (kind.clone(), json!({ "schema": reference(exported, model) }))).collect();
    body.insert("content".into(), content.into());
    body.insert("required".into(), true.into());
    body
}

fn responses(exported: &Exported<'_>, method: &Method, at: (&str, &str)) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, found) in &method.method_responses {
        let mut response = Map::new();
        let told = exported.documentation.description("RESPONSE", at, Some(status), None);
        response.insert("description".into(), told.unwrap_or_else(|| usual(status).into()));
        put(&mut response, "headers", headers(exported, found, at));
        let models = &found.response_models;
        match exported.form {
            Form::Swagger => {
                if let Some(model) = models.get("application/json").or_else(|| models.values().next()) {
                    response.insert("schema".into(), reference(exported, model));
                }
            }
            Form::Oas30 => {
                let kinds = models.iter();
                let content: Map<String, Value> = kinds
                    .map(|(kind, model)| (kind.clone(), json!({ "schema": reference(exported, model) })))
                    .collect();
                response.insert("content".into(), content.into());
            }
        }
        responses.insert(status.clone(), response.into());
    }
    responses
}

fn headers(exported: &Exported<'_>, response: &MethodResponse, at: (&str, &str)) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, required) in &response.response_parameters {
        let Some(name) = name.strip_prefix("method.response.header.") else { continue };
        let mut header = Map::new();
        let status = Some(response.status_code.as_str());
        if let Some(told) = exported.documentation.description("RESPONSE_HEADER", at, status, Some(name)) {
            header.insert("description".into(), told);
        }
        match exported.form {
            Form::Swagger => drop(header.insert("type".into(), "string".into())),
            Form::Oas30 => {
                if *required {
                    header.insert("required".into(), true.into());
                }
                header.insert("schema".into(), json!({ "type": "string" }));
            }
        }
        headers.insert(name.to_owned(), header.into());
    }
    headers
}
