//! Security schemes, and what methods demand of them.

use super::Extensions;
use crate::aws::deployment::Snapshot;
use crate::aws::method::Method;
use serde_json::{Map, Value, json};

const API_KEY: &str = "api_key";
const SIGNATURE: &str = "sigv4";
/// The name of a scheme whose authorizer says itself where to look.
const UNUSED: &str = "Unused";

/// `security` of a method.
pub(super) fn required(method: &Method, snapshot: &Snapshot) -> Vec<Value> {
    let mut required = Vec::new();
    match method.authorization_type.as_str() {
        "NONE" => {}
        "AWS_IAM" => required.push(json!({ SIGNATURE: [] })),
        _ => {
            let id = method.authorizer_id.as_deref();
            let authorizer =
                snapshot.authorizers.iter().find(|found| id.is_some() && found["id"].as_str() == id);
            // One that is gone since is still demanded.
            let name = authorizer
                .map_or_else(|| id.unwrap_or("authorizer").to_owned(), |found| name(snapshot, found));
            let mut demanded = Map::new();
            demanded.insert(name, json!(method.authorization_scopes));
            required.push(demanded.into());
        }
    }
    if method.api_key_required {
        required.push(json!({ API_KEY: [] }));
    }
    required
}

/// Those that a method demands, and every authorizer.
pub(super) fn schemes(snapshot: &Snapshot, extensions: Extensions) -> Map<String, Value> {
    let mut schemes = Map::new();
    let methods = || snapshot.resources.iter().flat_map(|resource| resource.resource_methods.values());
    if methods().any(|method| method.api_key_required) {
        schemes.insert(API_KEY.into(), json!({ "type": "apiKey", "name": "x-api-key", "in": "header" }));
    }
    if methods().any(|method| method.authorization_type == "AWS_IAM") {
        let mut scheme = json!({ "type": "apiKey", "name": "Authorization", "in": "header" });
        if extensions.integrations || extensions.authorizers {
            scheme["x-amazon-apigateway-authtype"] = "awsSigv4".into();
        }
        schemes.insert(SIGNATURE.into(), scheme);
    }
    for found in &snapshot.authorizers {
        let name = name(snapshot, found);
        let mut scheme = Map::new();
        scheme.insert("type".into(), "apiKey".into());
        scheme.insert("name".into(), parameter(found).into());
        scheme.insert("in".into(), "header".into());
        if extensions.authorizers {
            let authtype = found["authType"].as_str().unwrap_or("custom");
            scheme.insert("x-amazon-apigateway-authtype".into(), authtype.into());
            scheme.insert("x-amazon-apigateway-authorizer".into(), settings(found));
        }
        schemes.insert(name, scheme.into());
    }
    schemes
}

/// Its name, if nothing else has it; else with its id.
fn name(snapshot: &Snapshot, authorizer: &Value) -> String {
    let (id, name) = (authorizer["id"].as_str().unwrap_or_default(), authorizer["name"].as_str());
    let same = snapshot.authorizers.iter().filter(|other| other["name"].as_str() == name).count();
    match name {
        Some(name) if same < 2 && ![API_KEY, SIGNATURE].contains(&name) => name.to_owned(),
        Some(name) => format!("{name}-{id}"),
        None => id.to_owned(),
    }
}

/// The one header that tells who calls, if it is one.
fn parameter(authorizer: &Value) -> String {
    let source = authorizer["identitySource"].as_str().unwrap_or_default();
    let header = source.strip_prefix("method.request.header.").filter(|name| !name.contains(','));
    let of_scheme = authorizer["type"] == "TOKEN" || authorizer["type"] == "COGNITO_USER_POOLS";
    header.filter(|_| of_scheme).unwrap_or(UNUSED).to_owned()
}

fn settings(authorizer: &Value) -> Value {
    let mut settings = Map::new();
    for key in [
        "authorizerUri",
        "authorizerCredentials",
        "authorizerResultTtlInSeconds",
        "identitySource",
        "identityValidationExpression",
        "jwtConfiguration",
        "providerARNs",
    ] {
        // Where it is one header, the scheme's own name says it.
        let told = key == "identitySource" && parameter(authorizer) != UNUSED;
        if let Some(value) = authorizer.get(key).filter(|value| !value.is_null() && !told) {
            settings.insert(key.into(), value.clone());
        }
    }
    let kind = authorizer["type"].as_str().unwrap_or("TOKEN").to_lowercase();
    settings.insert("type".into(), kind.into());
    settings.into()
}
