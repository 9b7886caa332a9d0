//! TestInvokeMethod and TestInvokeAuthorizer: what is to be asked of the API as it is now, deployed or not. Asking it
//! is control's.

use super::deployment::Snapshot;
use super::{Answer, Call, Fault, Fields, authorizer, lower, method, rest_api, shown};
use crate::model;
use crate::store::Failed;
use std::collections::BTreeMap;

/// What is to be tried.
#[derive(Debug, PartialEq)]
pub enum Test {
    Method(TestInvocation),
    Authorizer(TestAuthorization),
}

/// One method, and the request that tries it.
#[derive(Debug, PartialEq)]
pub struct TestInvocation {
    /// To an API of this one method alone.
    pub request: TestRequest,
    pub resource_path: String,
}

/// One authorizer, and the request that tries it.
#[derive(Debug, PartialEq)]
pub struct TestAuthorization {
    /// To an API of this one authorizer and no method.
    pub request: TestRequest,
    pub authorizer_id: String,
}

/// What a test asks with.
#[derive(Debug, PartialEq)]
pub struct TestRequest {
    pub api: model::RestApi,
    pub id: String,
    pub account: String,
    pub region: String,
    pub http_method: String,
    /// As given; None: of a method the resource's path with its braces, of an authorizer `/`.
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
        api,
        resources: vec![resource],
    };
    // What a method for all methods is tried with, where the caller names none.
    let http_method = if http_method == "ANY" { "GET".into() } else { http_method };
    let request = request(call, &fields, &snapshot, http_method)?;
    Ok(Answer::Test(Box::new(Test::Method(TestInvocation { request, resource_path }))))
}

pub(super) fn authorize(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let found = authorizer::load(call)?;
    let snapshot = Snapshot {
        api: rest_api::load(call, call.label(0))?,
        authorizers: vec![shown(&found)?],
        ..Snapshot::default()
    };
    let request = request(call, &fields, &snapshot, "GET".into())?;
    let test = TestAuthorization { request, authorizer_id: found.id };
    Ok(Answer::Test(Box::new(Test::Authorizer(test))))
}

fn request(
    call: &Call<'_>,
    fields: &Fields,
    snapshot: &Snapshot,
    http_method: String,
) -> Result<TestRequest, Fault> {
    let many = fields.lists("multiValueHeaders")?.unwrap_or_default();
    let single = fields.map("headers")?.unwrap_or_default();
    let single =
        single.into_iter().filter(|(name, _)| !many.keys().any(|other| other.eq_ignore_ascii_case(name)));
    let mut headers: Vec<(String, String)> = single.collect();
    for (name, values) in &many {
        headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }
    let api = &snapshot.api;
    Ok(TestRequest {
        api: lower::rest_api(api, snapshot, &format!("{}.test-invoke-stage", api.id))
            .map_err(|error| Failed(error.to_string()))?,
        id: api.id.clone(),
        account: call.account.to_owned(),
        region: call.region.to_owned(),
        http_method,
        path_with_query_string: fields.text("pathWithQueryString")?.filter(|path| !path.is_empty()),
        headers,
        body: fields.text("body")?.unwrap_or_default(),
        stage_variables: fields.map("stageVariables")?.unwrap_or_default(),
    })
}
