//! API documents for tests: OpenAPI with AWS's extensions, as JSON.

use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// A Lambda integration's URI.
pub(crate) const LAMBDA: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                                 arn:aws:lambda:us-east-1:000000000000:function:f/invocations";

/// One `[[api]]` of a test's gateway, and its OpenAPI document.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) stage: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) cache_cluster_size: Option<&'static str>,
    /// The key and the lines of each `[api.method_settings]`.
    pub(crate) method_settings: Vec<(String, String)>,
    pub(crate) document: Value,
}

impl Api {
    /// A REGIONAL API without resources.
    pub(crate) fn new(name: &str, id: &str) -> Self {
        let document = json!({
            "openapi": "3.0.1",
            "info": { "title": name, "version": "1" },
            "paths": {},
            "x-amazon-apigateway-endpoint-configuration": { "types": ["REGIONAL"] },
        });
        let (name, id) = (name.into(), id.into());
        Self {
            name,
            id,
            stage: "prod".into(),
            hosts: Vec::new(),
            variables: Vec::new(),
            cache_cluster_size: None,
            method_settings: Vec::new(),
            document,
        }
    }

    pub(crate) fn endpoint(mut self, endpoint_type: &str) -> Self {
        self.document["x-amazon-apigateway-endpoint-configuration"] = json!({ "types": [endpoint_type] });
        if endpoint_type == "PRIVATE" {
            // Without a policy that allows, nobody reaches a private API.
            self.document["x-amazon-apigateway-policy"] = json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow", "Principal": "*",
                    "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
                }],
            });
        }
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.hosts.push(host.into());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn cache_cluster_size(mut self, size: &'static str) -> Self {
        self.cache_cluster_size = Some(size);
        self
    }

    /// Settings of the methods under `key`: `*/*`, `pets/GET`.
    pub(crate) fn method_setting(mut self, key: &str, lines: &str) -> Self {
        self.method_settings.push((key.into(), lines.into()));
        self
    }

    /// Adds a method ("get", "any") with its integration.
    pub(crate) fn method(mut self, path: &str, method: &str, integration: Value) -> Self {
        let key = if method == "any" { "x-amazon-apigateway-any-method" } else { method };
        self.document["paths"][path][key] =
            json!({ "responses": {}, "x-amazon-apigateway-integration": integration });
        self
    }

    /// Sets one of the document's own keys.
    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.document[key] = value;
        self
    }
}

/// An API whose every path and method goes to `upstream` under the same path.
pub(crate) fn echo_api(upstream: SocketAddr) -> Api {
    let all = |path: &str| http_proxy("ANY", &format!("http://{upstream}{path}"));
    Api::new("echo", "ech0ech0e1").method("/", "any", all("/")).method(
        "/{proxy+}",
        "any",
        mapped(all("/{proxy}"), "integration.request.path.proxy", "method.request.path.proxy"),
    )
}

pub(crate) fn http_proxy(method: &str, uri: &str) -> Value {
    json!({
        "type": "http_proxy", "httpMethod": method, "uri": uri,
        "passthroughBehavior": "when_no_match", "responses": { "default": { "statusCode": "200" } },
    })
}

/// The integration with one more request parameter.
pub(crate) fn mapped(mut integration: Value, to: &str, from: &str) -> Value {
    let parameters = &mut integration["requestParameters"];
    if parameters.is_null() {
        *parameters = Value::Object(Map::new());
    }
    parameters[to] = json!(from);
    integration
}

pub(crate) fn with_timeout(mut integration: Value, milliseconds: u32) -> Value {
    integration["timeoutInMillis"] = json!(milliseconds);
    integration
}

pub(crate) fn mock(status: u16) -> Value {
    json!({
        "type": "mock", "passthroughBehavior": "when_no_match",
        "requestTemplates": { "application/json": format!("{{\"statusCode\": {status}}}") },
        "responses": { "default": { "statusCode": status.to_string() } },
    })
}
