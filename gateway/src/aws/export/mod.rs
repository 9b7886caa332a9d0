//! GetExport: a stage's deployed snapshot as an OpenAPI document, in the form that AWS gives it. Pure but for the
//! operation itself: the same snapshot is the same document.

mod documentation;
mod integration;
mod method;
mod security;
mod yaml;

use super::deployment::{self, Snapshot};
use super::{Answer, Call, Fault, rest_api, stage};
use crate::openapi::schema;
use documentation::Documentation;
pub(in crate::aws) use method::METHODS;
use serde_json::{Map, Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// Which version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Swagger,
    Oas30,
}

/// What of AWS's own is written, as `extensions=` asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// Integrations, validators, gateway responses, the policy: all but the two below.
    pub(super) integrations: bool,
    pub(super) authorizers: bool,
    /// Documentation parts that stand at no one place of the document.
    pub(super) documentation: bool,
}

/// A stage as it was deployed.
pub(super) struct Deployed<'a> {
    pub(super) region: &'a str,
    pub(super) stage: &'a str,
    /// Seconds since 1970: when the deployment was made.
    pub(super) created: i64,
    pub(super) snapshot: &'a Snapshot,
}

/// `GET /restapis/{id}/stages/{stage}/exports/{type}`
pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let stage = stage::load(call)?;
    let form = match call.label(2) {
        "oas30" => Form::Oas30,
        "swagger" => Form::Swagger,
        other => {
            let message = format!("Unsupported export type {other}. Must be one of: [oas30, swagger]");
            return Err(Fault::bad_request(message));
        }
    };
    let extensions = Extensions::asked(call)?;
    let is_yaml = is_yaml(call.accept)?;
    let (deployment, mut snapshot) = deployment::snapshot(call, &stage.deployment_id)?;
    // What acts without a deployment: a document of the type that the API had would open one that was closed since.
    let live = rest_api::load(call, call.label(0))?;
    snapshot.api.endpoint_configuration = live.endpoint_configuration;
    snapshot.api.disable_execute_api_endpoint = live.disable_execute_api_endpoint;
    snapshot.api.api_key_source = live.api_key_source;
    // The stage may have a documentation version, which is not the deployment's.
    if let Some(version) = &stage.documentation_version
        && let Some(parts) = call.load(&call.key("docsnapshots", &[call.label(0), version]))?
    {
        snapshot.documentation = parts;
    }
    let deployed = Deployed {
        region: call.region,
        stage: &stage.stage_name,
        created: deployment.created_date,
        snapshot: &snapshot,
    };
    let document = document(&deployed, form, extensions);
    let (word, end) = (call.label(2), if is_yaml { "yaml" } else { "json" });
    let version: String =
        version(&deployed).chars().filter(|c| !c.is_control() && !"\"\\/".contains(*c)).collect();
    let body = match is_yaml {
        true => yaml::text(&document),
        false => format!("{document:#}\n"),
    };
    Ok(Answer::File {
        content_type: "application/octet-stream".into(),
        name: format!("{word}_{version}.{end}"),
        body: body.into_bytes(),
    })
}

fn is_yaml(accept: &str) -> Result<bool, Fault> {
    let kinds = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    for kind in kinds {
        match kind {
            "application/yaml" => return Ok(true),
            "" | "*/*" | "application/*" | "application/json" | "application/octet-stream" => {
                return Ok(false);
            }
            _ => {}
        }
    }
    let message = format!(
        "Invalid Accept header specified: {accept}. Must be one of: [application/json, application/yaml]"
    );
    Err(Fault::bad_request(message))
}

impl Extensions {
    pub(super) const ALL: Self = Self { integrations: true, authorizers: true, documentation: true };

    fn asked(call: &Call<'_>) -> Result<Self, Fault> {
        let mut extensions = Self::default();
        for word in call.asked_all("extensions").flat_map(|list| list.split(',')).map(str::trim) {
            match word {
                "apigateway" => extensions = Self::ALL,
                "integrations" => extensions.integrations = true,
                "authorizers" => extensions.authorizers = true,
                "documentation" => extensions.documentation = true,
                // Postman reads the document as it is.
                "postman" | "" => {}
                other => {
                    return Err(Fault::bad_request(format!("Invalid export extension specified: {other}")));
                }
            }
        }
        Ok(extensions)
    }
}

/// Keys in the order of AWS's exports.
pub(super) fn document(deployed: &Deployed<'_>, form: Form, extensions: Extensions) -> Value {
    let snapshot = deployed.snapshot;
    let api = &snapshot.api;
    let documentation = Documentation::of(snapshot);
    let mut root = Map::new();
    match form {
        Form::Swagger => root.insert("swagger".into(), "2.0".into()),
        Form::Oas30 => root.insert("openapi".into(), "3.0.1".into()),
    };
    let mut info = Map::new();
    info.insert("title".into(), api.name.clone().into());
    if let Some(description) = &api.description {
        info.insert("description".into(), description.clone().into());
    }
    info.insert("version".into(), version(deployed).into());
    root.insert("info".into(), info.into());
    place(deployed, form, extensions, &mut root);
    let exported = method::Exported { snapshot, form, extensions, documentation: &documentation };
    root.insert("paths".into(), method::paths(&exported));
    let schemes = security::schemes(snapshot, extensions);
    let models = models(snapshot, form);
    match form {
        Form::Swagger => {
            put(&mut root, "securityDefinitions", schemes);
            put(&mut root, "definitions", models);
        }
        Form::Oas30 => {
            let mut components = Map::new();
            put(&mut components, "schemas", models);
            put(&mut components, "securitySchemes", schemes);
            root.insert("components".into(), components.into());
        }
    }
    documentation.write_api(&mut root);
    tags(snapshot, extensions, &mut root);
    if extensions.integrations {
        of_api(snapshot, &mut root);
    }
    if extensions.documentation {
        put(&mut root, "x-amazon-apigateway-documentation", documentation.rest());
    }
    root.into()
}

/// The API's own, else the date of the deployment.
fn version(deployed: &Deployed<'_>) -> String {
    let created = Duration::from_secs(u64::try_from(deployed.created).unwrap_or(0));
    let date = || crate::observe::rfc3339(UNIX_EPOCH + created);
    deployed.snapshot.api.version.clone().filter(|version| !version.is_empty()).unwrap_or_else(date)
}

/// Where the stage is reached, and by whom.
fn place(deployed: &Deployed<'_>, form: Form, extensions: Extensions, root: &mut Map<String, Value>) {
    const KEY: &str = "x-amazon-apigateway-endpoint-configuration";
    let host = format!("{}.execute-api.{}.amazonaws.com", deployed.snapshot.api.id, deployed.region);
    let endpoint = if extensions.integrations { endpoint(deployed.snapshot) } else { Map::new() };
    match form {
        Form::Swagger => {
            root.insert("host".into(), host.into());
            root.insert("basePath".into(), format!("/{}", deployed.stage).into());
            root.insert("schemes".into(), json!(["https"]));
            put(root, KEY, endpoint);
        }
        Form::Oas30 => {
            let mut server = Map::new();
            server.insert("url".into(), format!("https://{host}/{{basePath}}").into());
            server.insert("variables".into(), json!({ "basePath": { "default": deployed.stage } }));
            put(&mut server, KEY, endpoint);
            root.insert("servers".into(), json!([server]));
        }
    }
}

fn endpoint(snapshot: &Snapshot) -> Map<String, Value> {
    let (api, found) = (&snapshot.api, &snapshot.api.endpoint_configuration);
    let mut endpoint = Map::new();
    endpoint.insert("types".into(), json!(found.types));
    // No document may name any for another type.
    if found.types == ["PRIVATE"] && !found.vpc_endpoint_ids.is_empty() {
        endpoint.insert("vpcEndpointIds".into(), json!(found.vpc_endpoint_ids));
    }
    if api.disable_execute_api_endpoint {
        endpoint.insert("disableExecuteApiEndpoint".into(), true.into());
    }
    let usual = if found.types == ["PRIVATE"] { "dualstack" } else { "ipv4" };
    if found.ip_address_type != usual {
        endpoint.insert("ipAddressType".into(), found.ip_address_type.clone().into());
    }
    endpoint
}

/// All but the two that every API has, where nobody uses them.
fn models(snapshot: &Snapshot, form: Form) -> Map<String, Value> {
    let to = match form {
        Form::Swagger => schema::REFERENCE,
        Form::Oas30 => schema::REFERENCE_3,
    };
    let mut models = Map::new();
    for found in &snapshot.models {
        let Ok(model) = serde_json::from_value::<super::model::Model>(found.clone()) else { continue };
        if model.is_default() && !method::uses(snapshot, &model.name) {
            continue;
        }
        let text = model.schema.as_deref().unwrap_or("{}");
        let mut schema: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
        schema::rename(&mut schema, &|reference| {
            let rest = reference.strip_prefix("https://apigateway.amazonaws.com/restapis/")?;
            Some(format!("{to}{}", rest.split_once("/models/")?.1))
        });
        if let Value::Object(map) = &mut schema {
            map.shift_remove("$schema");
            if let Some(told) = model.description.as_ref().filter(|_| !model.is_default()) {
                map.entry("description").or_insert_with(|| told.clone().into());
            }
        }
        models.insert(model.name, schema);
    }
    models
}

fn tags(snapshot: &Snapshot, extensions: Extensions, root: &mut Map<String, Value>) {
    let own = snapshot.api.tags.iter().flatten().filter(|_| extensions.integrations);
    // The gateway's own say what the API is here, not what it is.
    let own = own.filter(|(name, _)| !name.starts_with(super::RESERVED_TAGS));
    let tag =
        |(name, value): (&String, &String)| json!({ "name": name, "x-amazon-apigateway-tag-value": value });
    let mut all: Vec<Value> = own.map(tag).collect();
    if let Some(Value::Array(told)) = root.shift_remove("tags") {
        all.extend(told);
    }
    if !all.is_empty() {
        root.insert("tags".into(), all.into());
    }
}

/// Extensions of the API as a whole.
fn of_api(snapshot: &Snapshot, root: &mut Map<String, Value>) {
    let api = &snapshot.api;
    let mut extend = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            root.insert(format!("x-amazon-apigateway-{name}"), value);
        }
    };
    let some = |map: Map<String, Value>| (!map.is_empty()).then(|| Value::Object(map));
    extend("api-key-source", (api.api_key_source == "AUTHORIZER").then(|| api.api_key_source.clone().into()));
    let media_types = &api.binary_media_types;
    extend("binary-media-types", (!media_types.is_empty()).then(|| json!(media_types)));
    extend("gateway-responses", some(gateway_responses(snapshot)));
    extend("minimum-compression-size", api.minimum_compression_size.map(Value::from));
    let policy = api.policy.as_deref().and_then(|policy| serde_json::from_str(policy).ok());
    extend("policy", policy);
    extend("request-validators", some(validators(snapshot)));
    extend("security-policy", api.security_policy.clone().map(Value::from));
    extend("endpoint-access-mode", api.endpoint_access_mode.clone().map(Value::from));
}

fn gateway_responses(snapshot: &Snapshot) -> Map<String, Value> {
    let mut responses = Map::new();
    for found in &snapshot.gateway_responses {
        let Some(kind) = found["responseType"].as_str() else { continue };
        let mut response = Map::new();
        if let Some(status) = found["statusCode"].as_str().and_then(|status| status.parse::<u16>().ok()) {
            response.insert("statusCode".into(), status.into());
        }
        for key in ["responseParameters", "responseTemplates"] {
            if let Some(map) = found[key].as_object() {
                put(&mut response, key, map.clone());
            }
        }
        responses.insert(kind.to_owned(), response.into());
    }
    responses
}

fn validators(snapshot: &Snapshot) -> Map<String, Value> {
    let entry = |validator: &Value| {
        let said = json!({
            "validateRequestParameters": validator["validateRequestParameters"] == true,
            "validateRequestBody": validator["validateRequestBody"] == true,
        });
        (validator_name(snapshot, validator), said)
    };
    snapshot.validators.iter().map(entry).collect()
}

/// Its name, if no other one has it; else with its id.
fn validator_name(snapshot: &Snapshot, validator: &Value) -> String {
    let (id, name) = (validator["id"].as_str().unwrap_or_default(), validator["name"].as_str());
    let same = snapshot.validators.iter().filter(|other| other["name"].as_str() == name).count();
    match name {
        Some(name) if same < 2 => name.to_owned(),
        Some(name) => format!("{name} {id}"),
        None => id.to_owned(),
    }
}

/// Nothing is left out, not written empty.
fn put(map: &mut Map<String, Value>, key: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        map.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
pub(crate) mod tests;
