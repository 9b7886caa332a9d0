//! `x-amazon-apigateway-integration`, without what a new integration has by itself.

use super::put;
use crate::aws::deployment::Snapshot;
use crate::aws::integration::{Integration, TIMEOUT_MS};
use crate::aws::integration_response::IntegrationResponse;
use crate::aws::resource::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn written(
    integration: &Integration,
    resource: &Resource,
    snapshot: &Snapshot,
) -> Map<String, Value> {
    let mut written = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            written.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    say("type", Some(integration.kind.to_lowercase().into()));
    say("httpMethod", text(&integration.http_method));
    say("uri", text(&integration.uri));
    say("credentials", text(&integration.credentials));
    say("responses", map(responses(integration)));
    say("requestParameters", map(texts(&integration.request_parameters)));
    say("requestTemplates", map(texts(&integration.request_templates)));
    say("passthroughBehavior", Some(integration.passthrough_behavior.to_lowercase().into()));
    say("connectionType", text(&integration.connection_type));
    say("connectionId", text(&integration.connection_id));
    say("integrationTarget", text(&integration.integration_target));
    say("responseTransferMode", text(&integration.response_transfer_mode));
    let timeout = integration.timeout_in_millis;
    say("timeoutInMillis", (timeout != TIMEOUT_MS).then(|| timeout.into()));
    let namespace = &integration.cache_namespace;
    let named =
        !namespace.is_empty() && (*namespace != resource.id || is_shared(namespace, resource, snapshot));
    say("cacheNamespace", named.then(|| namespace.clone().into()));
    let keys = &integration.cache_key_parameters;
    say("cacheKeyParameters", (!keys.is_empty()).then(|| json!(keys)));
    say("contentHandling", text(&integration.content_handling));
    let tls = integration.tls_config.as_ref();
    say("tlsConfig", tls.map(|tls| json!({ "insecureSkipVerification": tls.insecure_skip_verification })));
    written
}

/// Does another resource's method share that namespace? Then its name says more than the resource's own id.
fn is_shared(namespace: &str, resource: &Resource, snapshot: &Snapshot) -> bool {
    let others = snapshot.resources.iter().filter(|other| other.id != resource.id);
    let integrations = others.flat_map(|other| other.resource_methods.values());
    integrations
        .filter_map(|method| method.method_integration.as_ref())
        .any(|integration| integration.cache_namespace == namespace)
}

fn responses(integration: &Integration) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, found) in &integration.integration_responses {
        let pattern = found.selection_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        responses.entry(pattern.unwrap_or("default")).or_insert_with(|| response(status, found).into());
    }
    responses
}

fn response(status: &str, found: &IntegrationResponse) -> Map<String, Value> {
    let mut response = Map::new();
    response.insert("statusCode".into(), status.into());
    put(&mut response, "responseParameters", texts(&found.response_parameters));
    put(&mut response, "responseTemplates", texts(&found.response_templates));
    if let Some(handling) = &found.content_handling {
        response.insert("contentHandling".into(), handling.clone().into());
    }
    response
}

fn texts(map: &BTreeMap<String, String>) -> Map<String, Value> {
    map.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

fn map(map: Map<String, Value>) -> Option<Value> {
    (!map.is_empty()).then(|| map.into())
}
