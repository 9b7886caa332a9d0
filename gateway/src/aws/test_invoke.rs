//! TestInvokeMethod: what is to be asked of the API as it is now, deployed or not. Asking it is control's.

use super::deployment::Snapshot;
use super::{Answer, Call, Fault, lower, method, rest_api};
use crate::model;
use crate::store::Failed;
use std::collections::BTreeMap;

/// One method, and the request that tries it.
#[derive(Debug, PartialEq)]
pub struct TestInvocation {
    /// With this one method alone.
    pub api: model::RestApi,
    pub id: String,
    pub account: String,
    pub region: String,
    pub resource_path: String,
    /// Of the request.
    pub http_method: String,
    /// As given; None: the resource's path with its braces.
    pub path_with_query_string: Option<String>,
    /// In AWS's order: `headers`, then `multiValueHeaders`, which win.
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub stage_variables: BTreeMap<String, String>,
}

pub(super) fn run(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let (mut resource, method) = method::load(call)?;
    if method.method_integration.is_none() {
        return Err(Fault::bad_request("No integration defined for method"));
    }
    let api = rest_api::load(call, call.label(0))?;
    let id = api.id.clone();
    let http_method = method.http_method.clone();
    resource.resource_methods.retain(|name, _| *name == http_method);
    let resource_path = resource.path.clone();
    let snapshot = Snapshot {
        models: call.below(&call.key("models", &[&id]))?,
        validators: call.below(&call.key("validators", &[&id]))?,
        authorizers: Vec::new(),
        documentation: Vec::new(),
        gateway_responses: call.below(&call.key("gatewayresponses", &[&id]))?,
        api: api.clone(),
        resources: vec![resource],
    };
    let many = fields.lists("multiValueHeaders")?.unwrap_or_default();
    let single = fields.map("headers")?.unwrap_or_default();
    let single =
        single.into_iter().filter(|(name, _)| !many.keys().any(|other| other.eq_ignore_ascii_case(name)));
    let mut headers: Vec<(String, String)> = single.collect();
    for (name, values) in &many {
        headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }
    Ok(Answer::Test(Box::new(TestInvocation {
        api: lower::rest_api(&api, &snapshot, &format!("{id}.test-invoke-stage"))
            .map_err(|error| Failed(error.to_string()))?,
        id,
        account: call.account.to_owned(),
        region: call.region.to_owned(),
        resource_path,
        // What a method for all methods is tried with, where the caller names none.
        http_method: if http_method == "ANY" { "GET".into() } else { http_method },
        path_with_query_string: fields.text("pathWithQueryString")?.filter(|path| !path.is_empty()),
        headers,
        body: fields.text("body")?.unwrap_or_default(),
        stage_variables: fields.map("stageVariables")?.unwrap_or_default(),
    })))
}
