//! Deployment: an immutable snapshot of an API, which a stage points to.

use super::patch::{self, Dialect, Kind, Rule, replace};
use super::resource::{self, Resource};
use super::rest_api::{self, RestApi};
use super::stage::{self, Stage};
use super::{Answer, Call, Fault, Fields, answer, patched, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const DEPLOYMENTS_MAX: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Deployment {
    pub(crate) created_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) id: String,
}

/// What a deployment keeps of its API: all that the data plane serves from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Snapshot {
    pub(crate) api: RestApi,
    pub(crate) resources: Vec<Resource>,
    pub(crate) models: Vec<Value>,
    pub(crate) validators: Vec<Value>,
    pub(crate) authorizers: Vec<Value>,
    pub(crate) gateway_responses: Vec<Value>,
    pub(crate) documentation: Vec<Value>,
}

const RULES: &[Rule] = &[replace("/description", Kind::Text)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    answer(&make(call, &fields)?)
}

/// Of the API that the call's path names.
pub(super) fn make(call: &mut Call<'_>, fields: &Fields) -> Result<Deployment, Fault> {
    let api = rest_api::load(call, call.label(0))?;
    let resources = resource::all(call, &api.id)?;
    let mut methods = resources.iter().flat_map(|resource| resource.resource_methods.values()).peekable();
    if methods.peek().is_none() {
        return Err(Fault::bad_request("The REST API doesn't contain any methods"));
    }
    if methods.any(|method| method.method_integration.is_none()) {
        return Err(Fault::bad_request("No integration defined for method"));
    }
    call.room_below(&call.key("deployments", &[&api.id]), DEPLOYMENTS_MAX, "deployments for this API")?;
    let deployment = Deployment {
        created_date: call.now,
        description: fields.text("description")?,
        id: call.new_id("deployments", &[&api.id], 6)?,
    };
    let id = api.id.clone();
    let snapshot = taken(call, api, resources)?;
    call.save(call.key("deployments", &[&id, &deployment.id]), &deployment)?;
    call.save(call.key("snapshots", &[&id, &deployment.id]), &snapshot)?;
    stage::deployed(call, fields, &deployment.id)?;
    Ok(deployment)
}

/// The API as it is now.
pub(super) fn taken(call: &Call<'_>, api: RestApi, resources: Vec<Resource>) -> Result<Snapshot, Fault> {
    let id = api.id.clone();
    Ok(Snapshot {
        models: call.below(&call.key("models", &[&id]))?,
        validators: call.below(&call.key("validators", &[&id]))?,
        authorizers: call.below(&call.key("authorizers", &[&id]))?,
        gateway_responses: call.below(&call.key("gatewayresponses", &[&id]))?,
        documentation: call.below(&call.key("docparts", &[&id]))?,
        api,
        resources,
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let deployment = load(call)?;
    let mut value = shown(&deployment)?;
    if call.asked_all("embed").flat_map(|list| list.split(',')).any(|item| item == "apisummary") {
        let snapshot: Option<Snapshot> =
            call.load(&call.key("snapshots", &[call.label(0), &deployment.id]))?;
        let summary = summary(&snapshot.unwrap_or_default());
        if let Some(map) = value.as_object_mut() {
            map.insert("apiSummary".into(), summary);
        }
    }
    Ok(Answer::Json(value))
}

fn summary(snapshot: &Snapshot) -> Value {
    let mut paths = Map::new();
    for resource in &snapshot.resources {
        let methods: Map<String, Value> = resource
            .resource_methods
            .values()
            .map(|method| {
                let facts = json!({
                    "apiKeyRequired": method.api_key_required,
                    "authorizationType": method.authorization_type,
                });
                (method.http_method.clone(), facts)
            })
            .collect();
        if !methods.is_empty() {
            paths.insert(resource.path.clone(), Value::Object(methods));
        }
    }
    Value::Object(paths)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    call.list(&call.key("deployments", &[&api]), |deployment: Deployment| shown(&deployment))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateDeploymentInput")?;
    let deployment: Deployment = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    call.save(call.key("deployments", &[call.label(0), &deployment.id]), &deployment)?;
    answer(&deployment)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call)?.id;
    let api = call.label(0).to_owned();
    let stages: Vec<Stage> = call.below(&call.key("stages", &[&api]))?;
    if stages.iter().any(|stage| stage.points_to(&id)) {
        return Err(Fault::bad_request("Active stages pointing to this deployment must be moved or deleted"));
    }
    call.tx.remove(call.key("deployments", &[&api, &id]));
    call.tx.remove(call.key("snapshots", &[&api, &id]));
    Ok(Answer::Nothing)
}

fn load(call: &Call<'_>) -> Result<Deployment, Fault> {
    rest_api::load(call, call.label(0))?;
    let found = call.load(&call.key("deployments", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Deployment identifier specified"))
}

/// A deployment of the call's API, and what it keeps of it.
pub(super) fn snapshot(call: &Call<'_>, id: &str) -> Result<(Deployment, Snapshot), Fault> {
    let api = call.label(0);
    let deployment = call.load(&call.key("deployments", &[api, id]))?;
    let snapshot = call.load(&call.key("snapshots", &[api, id]))?;
    let unknown = || Fault::not_found("Invalid Deployment identifier specified");
    deployment.zip(snapshot).ok_or_else(unknown)
}

/// Is there such a deployment of the API?
pub(super) fn exists(call: &Call<'_>, id: &str) -> Result<bool, Fault> {
    Ok(!id.is_empty() && call.tx.get(&call.key("deployments", &[call.label(0), id]))?.is_some())
}
