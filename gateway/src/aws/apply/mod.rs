//! `gateway apply FILE`: an API and its stage become what an OpenAPI document says. The same one again does nothing.

mod compare;

use super::deployment::{self, Snapshot};
use super::export::{Deployed, Extensions, Form, document};
use super::import::{self, Read};
use super::rest_api::{self, RestApi};
use super::stage::Stage;
use super::{Answer, Call, Difference, Fault, Fields, resource};
use crate::observe::count;
use serde_json::{Value, json};

/// What of the store the document is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// None: the one whose name is the document's title; a new one, if there is none.
    pub api: Option<String>,
    /// None: the stage that the document's base path names.
    pub stage: Option<String>,
}

/// What was done to the call's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Of one that is made: drawn anew each time that it is asked for.
    pub api: String,
    /// Before the change, where there was one: a document may give the API another title.
    pub name: String,
    pub stage: String,
    /// None: the document says what is there.
    pub differences: Vec<Difference>,
    pub warnings: Vec<String>,
}

/// The document is the call's body.
pub fn apply(call: &mut Call<'_>, target: &Target) -> Result<Applied, Fault> {
    let read = import::read(call)?;
    let stage = stage_name(target, &read)?;
    let mut differences = Vec::new();
    let (id, name) = match found(call, target, &read.document.name)? {
        None => {
            let Answer::Json(made) = import::make(call, &read)? else { return Err(unreadable()) };
            let id = made["id"].as_str().ok_or_else(unreadable)?.to_owned();
            call.labels = vec![id.clone()];
            let methods: usize = read.document.resources.iter().map(|resource| resource.methods.len()).sum();
            let subject = format!("api {}", read.document.name);
            differences.push(plain(subject, format!("is made, with {}", count(methods, "method"))));
            deploy(call, &stage, &mut differences)?;
            (id, read.document.name.clone())
        }
        Some(api) => {
            call.labels = vec![api.id.clone()];
            differences = change(call, &read, &api, &stage)?;
            (api.id, api.name)
        }
    };
    let warnings = import::said(&read.warnings);
    Ok(Applied { api: id, name, stage, differences, warnings })
}

fn plain(subject: impl Into<String>, what: impl Into<String>) -> Difference {
    Difference { subject: subject.into(), what: what.into(), danger: false }
}

fn unreadable() -> Fault {
    Fault::bad_request("Unable to build importer with provided input.")
}

fn stage_name(target: &Target, read: &Read) -> Result<String, Fault> {
    let written = read.document.base_path.trim_matches('/');
    let name = target.stage.as_deref().unwrap_or(written);
    match name.is_empty() || name.contains('/') {
        true => Err(Fault::bad_request(
            "the document names no stage (its base path is none): say which one is meant with --stage",
        )),
        false => Ok(name.to_owned()),
    }
}

/// None: there is no such API yet.
fn found(call: &Call<'_>, target: &Target, name: &str) -> Result<Option<RestApi>, Fault> {
    if let Some(id) = &target.api {
        return rest_api::load(call, id).map(Some);
    }
    let all: Vec<RestApi> = call.below(&call.key("apis", &[]))?;
    let mut same = all.into_iter().filter(|api| api.name == name);
    match (same.next(), same.next()) {
        (Some(first), Some(second)) => Err(Fault::bad_request(format!(
            "several APIs are called {name} ({}, {}): say which one is meant with --api",
            first.id, second.id
        ))),
        (first, _) => Ok(first),
    }
}

fn change(call: &mut Call<'_>, read: &Read, before: &RestApi, stage: &str) -> Result<Vec<Difference>, Fault> {
    call.may_write(&before.id)?;
    let kept: Option<Stage> = call.load(&call.key("stages", &[&before.id, stage]))?;
    if kept.as_ref().is_some_and(|stage| stage.canary_settings.is_some()) {
        return Err(Fault::bad_request(format!(
            "stage {stage} has a canary, which would get the deployment: promote it or take it back first"
        )));
    }
    let working = whole(call, before, stage)?;
    let deployed = match &kept {
        Some(stage) => Some(deployment::snapshot(call, &stage.deployment_id)?.1),
        None => None,
    };
    let mut after = import::write(call, read, true)?;
    if read.document.endpoint_type.is_some() {
        let written = rest_api::of_document(call, &read.document, &read.described)?;
        after.endpoint_configuration = written.endpoint_configuration;
        rest_api::check(call, &after, "updateRestApiInput")?;
        rest_api::switch(before, &after)?;
        call.save(call.key("apis", &[&after.id]), &after)?;
    }
    let desired = whole(call, &after, stage)?;
    let served = deployed.map(|snapshot| said(call, &live(snapshot, before), stage));
    let mut differences = match &served {
        Some(served) => compare::documents(served, &desired),
        None => compare::documents(&working, &desired),
    };
    if served.as_ref() != Some(&desired) {
        deploy(call, stage, &mut differences)?;
    } else if working != desired {
        let what = "what was changed since the deployment, and not deployed, is taken back";
        differences.push(Difference {
            subject: format!("api {}", before.name),
            what: what.into(),
            danger: true,
        });
    }
    Ok(differences)
}

/// What takes effect without a deployment is as it is now.
fn live(snapshot: Snapshot, now: &RestApi) -> Snapshot {
    let api = RestApi {
        disable_execute_api_endpoint: now.disable_execute_api_endpoint,
        endpoint_configuration: now.endpoint_configuration.clone(),
        tags: now.tags.clone(),
        ..snapshot.api
    };
    Snapshot { api, ..snapshot }
}

/// The API as it stands in the transaction, as a document.
fn whole(call: &Call<'_>, api: &RestApi, stage: &str) -> Result<Value, Fault> {
    let snapshot = deployment::taken(call, api.clone(), resource::all(call, &api.id)?)?;
    Ok(said(call, &snapshot, stage))
}

fn said(call: &Call<'_>, snapshot: &Snapshot, stage: &str) -> Value {
    let deployed = Deployed { region: call.region, stage, created: 0, snapshot };
    let mut said = document(&deployed, Form::Oas30, Extensions::ALL);
    // Without a version of its own an export has the date of its deployment there, and this is none.
    if snapshot.api.version.as_ref().is_none_or(String::is_empty)
        && let Some(info) = said["info"].as_object_mut()
    {
        info.remove("version");
    }
    said
}

fn deploy(call: &mut Call<'_>, stage: &str, differences: &mut Vec<Difference>) -> Result<(), Fault> {
    let is_new = call.tx.get(&call.key("stages", &[call.label(0), stage]))?.is_none();
    let fields =
        Fields::parse(json!({ "stageName": stage, "description": "gateway apply" }).to_string().as_bytes())?;
    deployment::make(call, &fields)?;
    let what = if is_new { "is made, with a deployment" } else { "gets a new deployment" };
    differences.push(plain(format!("stage {stage}"), what));
    Ok(())
}

#[cfg(test)]
mod tests;
