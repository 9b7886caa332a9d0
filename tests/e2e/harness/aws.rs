//! Calls of the AWS API on a gateway that was started without keys: what a request is scoped to counts, no signature.

use super::{Client, Gateway, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// One kept connection to the control address.
pub(crate) struct Aws {
    client: Client,
    address: SocketAddr,
}

/// An `Authorization` field of that scope, with a signature that nobody made.
pub(crate) fn scoped(key: &str, region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260102/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}

impl Aws {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self { client: Client::connect(gateway.control()), address: gateway.control() }
    }

    /// With these fields, beside Host where they have none.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
        let own = fields.iter().any(|(name, _)| *name == "Host");
        let mut head = format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !own {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.client.send(head + "\r\n" + body).response()
    }

    /// In us-east-1; it must succeed. Null: the answer has no body.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let scope = scoped("AKIDNOBODY", "us-east-1", "apigateway");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.ask(method, path, &[("Authorization", &scope)], &text);
        assert!((200..300).contains(&response.status), "{method} {path}: {}", response.text());
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    /// One `replace`.
    pub(crate) fn replace(&mut self, path: &str, at: &str, value: &str) -> Value {
        let patch = json!({ "patchOperations": [{ "op": "replace", "path": at, "value": value }] });
        self.call("PATCH", path, &patch)
    }

    /// A REGIONAL API; gives its id and its root resource's.
    pub(crate) fn rest_api(&mut self, name: &str) -> (String, String) {
        let made = self
            .post("/restapis", &json!({ "name": name, "endpointConfiguration": { "types": ["REGIONAL"] } }));
        (made["id"].as_str().unwrap().into(), made["rootResourceId"].as_str().unwrap().into())
    }

    pub(crate) fn resource(&mut self, api: &str, parent: &str, part: &str) -> String {
        let made = self.post(&format!("/restapis/{api}/resources/{parent}"), &json!({ "pathPart": part }));
        made["id"].as_str().unwrap().into()
    }

    /// A method without authorization, with that integration.
    pub(crate) fn method(&mut self, api: &str, resource: &str, method: &str, integration: &Value) {
        let at = format!("/restapis/{api}/resources/{resource}/methods/{method}");
        self.call("PUT", &at, &json!({ "authorizationType": "NONE" }));
        self.call("PUT", &format!("{at}/integration"), integration);
    }

    /// The method's only answer, with everything of the integration response that is given.
    pub(crate) fn answers(&mut self, api: &str, resource: &str, method: &str, status: u16, response: &Value) {
        let at = format!("/restapis/{api}/resources/{resource}/methods/{method}");
        self.call("PUT", &format!("{at}/responses/{status}"), &json!({}));
        self.call("PUT", &format!("{at}/integration/responses/{status}"), response);
    }

    /// Gives the deployment's id.
    pub(crate) fn deploy(&mut self, api: &str, stage: Option<&str>) -> String {
        let made = self.post(&format!("/restapis/{api}/deployments"), &json!({ "stageName": stage }));
        made["id"].as_str().unwrap().into()
    }
}

/// Where a stage of a stored API is asked, whatever the host.
pub(crate) fn path(api: &str, stage: &str, rest: &str) -> String {
    format!("/restapis/{api}/{stage}/_user_request_{rest}")
}
