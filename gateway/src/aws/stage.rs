//! Stage: a name under which an API is called, and the deployment that it points to.

mod settings;

use super::fault::Violations;
use super::{
    Answer, Call, Effect, Fault, Fields, answer, base_path_mapping, client_certificate, deployment,
    documentation, patch, rest_api, shown,
};
use crate::model::{CacheClusterSize, MethodPath, MethodSetting};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const STAGES_MAX: usize = 1000;
const NAME_MAX: usize = 128;
pub(super) const VARIABLES_MAX: usize = 100;
const VARIABLE_NAME_MAX: usize = 64;
const VARIABLE_VALUE_MAX: usize = 512;
const CACHE_SIZES: [&str; 8] = CacheClusterSize::WORDS;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log_settings: Option<AccessLogSettings>,
    pub(crate) cache_cluster_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_cluster_size: Option<String>,
    pub(crate) cache_cluster_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canary_settings: Option<CanarySettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate_id: Option<String>,
    pub(crate) created_date: i64,
    pub(crate) deployment_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) documentation_version: Option<String>,
    pub(crate) last_updated_date: i64,
    pub(crate) method_settings: BTreeMap<MethodPath, MethodSetting>,
    pub(crate) stage_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    pub(crate) tracing_enabled: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) web_acl_arn: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AccessLogSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CanarySettings {
    pub(crate) deployment_id: String,
    pub(crate) percent_traffic: f64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) stage_variable_overrides: BTreeMap<String, String>,
    pub(crate) use_stage_cache: bool,
}

impl Stage {
    pub(super) fn points_to(&self, deployment: &str) -> bool {
        let canary = self.canary_settings.as_ref();
        self.deployment_id == deployment || canary.is_some_and(|canary| canary.deployment_id == deployment)
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let api = rest_api::load(call, call.label(0))?.id;
    let mut stage = of_fields(call, &fields, "createStageInput")?;
    stage.description = fields.text("description")?;
    stage.deployment_id = fields.text("deploymentId")?.unwrap_or_default();
    stage.documentation_version = fields.text("documentationVersion")?.filter(|version| !version.is_empty());
    check_references(call, &api, &stage)?;
    stage.tags = fields.map("tags")?;
    if !deployment::exists(call, &stage.deployment_id)? {
        return Err(Fault::bad_request("Deployment id does not exist"));
    }
    let key = call.key("stages", &[&api, &stage.stage_name]);
    if call.tx.get(&key)?.is_some() {
        return Err(Fault::conflict("Stage already exists"));
    }
    if let Some(canary) = fields.object("canarySettings")? {
        let id = canary.text("deploymentId")?.unwrap_or_else(|| stage.deployment_id.clone());
        stage.canary_settings = Some(canary_of(&canary, id)?);
    }
    save(call, &stage)?;
    answer(&stage)
}

/// CreateDeployment with `stageName`: the stage is made, moved, or gets a canary.
pub(super) fn deployed(call: &mut Call<'_>, fields: &Fields, id: &str) -> Result<(), Fault> {
    let name = fields.text("stageName")?.filter(|name| !name.is_empty());
    let canary = fields.object("canarySettings")?;
    let Some(name) = name else {
        let said = fields.text("stageName")?.unwrap_or_else(|| "null".into());
        return match canary {
            None => Ok(()),
            Some(_) => Err(Fault::bad_request(format!(
                "Invalid deployment content specified.Non null and non empty stageName must be provided for canary \
                 deployment. Provided value is {said}"
            ))),
        };
    };
    let found: Option<Stage> = call.load(&call.key("stages", &[call.label(0), &name]))?;
    let stage = match (found, canary) {
        (None, Some(_)) => {
            return Err(Fault::bad_request(format!(
                "Invalid deployment content specified.Stage {name} must already be created before making a canary \
                 release deployment"
            )));
        }
        (None, None) => {
            let mut stage = of_fields(call, fields, "createDeploymentInput")?;
            stage.description = fields.text("stageDescription")?;
            stage.deployment_id = id.to_owned();
            stage
        }
        (Some(mut stage), canary) => {
            match (canary, &mut stage.canary_settings) {
                (Some(canary), settings) => *settings = Some(canary_of(&canary, id.to_owned())?),
                // While there is a canary, what is deployed goes to it.
                (None, Some(settings)) => settings.deployment_id = id.to_owned(),
                (None, None) => stage.deployment_id = id.to_owned(),
            }
            stage.description = fields.text("stageDescription")?.or(stage.description);
            if let Some(variables) = fields.map("variables")? {
                stage.variables = variables;
            }
            stage.last_updated_date = call.now;
            stage
        }
    };
    check(&stage)?;
    save(call, &stage)
}

fn of_fields(call: &Call<'_>, fields: &Fields, input: &str) -> Result<Stage, Fault> {
    let size = fields.text("cacheClusterSize")?;
    let mut violations = Violations::default();
    violations.one_of(size.as_deref(), &format!("{input}.cacheClusterSize"), &CACHE_SIZES);
    violations.finish()?;
    let mut stage = Stage {
        cache_cluster_enabled: fields.flag("cacheClusterEnabled")?.unwrap_or(false),
        cache_cluster_size: size,
        created_date: call.now,
        last_updated_date: call.now,
        stage_name: fields.text("stageName")?.unwrap_or_default(),
        tracing_enabled: fields.flag("tracingEnabled")?.unwrap_or(false),
        variables: fields.map("variables")?.unwrap_or_default(),
        ..Stage::default()
    };
    cache_status(&mut stage);
    check(&stage)?;
    call.room_below(&call.key("stages", &[call.label(0)]), STAGES_MAX, "stages for this API")?;
    Ok(stage)
}

fn canary_of(fields: &Fields, deployment_id: String) -> Result<CanarySettings, Fault> {
    Ok(CanarySettings {
        deployment_id,
        percent_traffic: fields.number("percentTraffic")?.unwrap_or(0.0),
        stage_variable_overrides: fields.map("stageVariableOverrides")?.unwrap_or_default(),
        use_stage_cache: fields.flag("useStageCache")?.unwrap_or(false),
    })
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

/// All of them, as AWS does: this collection has no pages.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    let stages: Vec<Stage> = call.below(&call.key("stages", &[&api]))?;
    let wanted = call.asked("deploymentId");
    let chosen = stages.iter().filter(|stage| wanted.is_none_or(|id| stage.deployment_id == id));
    let items: Result<Vec<_>, Fault> = chosen.map(shown).collect();
    Ok(super::collection(items?, None))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateStageInput")?;
    let mut stage = load(call)?;
    for operation in &operations {
        settings::apply(call, &mut stage, operation)?;
    }
    check(&stage)?;
    check_references(call, call.label(0), &stage)?;
    cache_status(&mut stage);
    stage.last_updated_date = call.now;
    save(call, &stage)?;
    answer(&stage)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let name = load(call)?.stage_name;
    let domains = base_path_mapping::domains_of(call, call.label(0), Some(&name))?;
    if !domains.is_empty() {
        return Err(Fault::bad_request(format!(
            "Deleting stage {name} failed. Please remove all base path mappings related to the stage in your \
             domains: {}",
            domains.join(", ")
        )));
    }
    call.tx.remove(call.key("stages", &[call.label(0), &name]));
    Ok(Answer::Nothing)
}

/// DELETE .../cache/data
pub(super) fn flush_cache(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let stage = load(call)?.stage_name;
    call.effects.push(Effect::FlushStageCache { api: call.label(0).to_owned(), stage });
    Ok(Answer::Nothing)
}

/// DELETE .../cache/authorizers: nothing that an authorizer said is kept anywhere.
pub(super) fn flush_authorizers(call: &mut Call<'_>) -> Result<Answer, Fault> {
    load(call)?;
    Ok(Answer::Nothing)
}

/// What the stage names is there.
fn check_references(call: &Call<'_>, api: &str, stage: &Stage) -> Result<(), Fault> {
    if let Some(version) = &stage.documentation_version {
        documentation::check_version(call, api, version)?;
    }
    stage.client_certificate_id.as_ref().map_or(Ok(()), |id| client_certificate::check(call, id))
}

pub(super) fn load(call: &Call<'_>) -> Result<Stage, Fault> {
    rest_api::load(call, call.label(0))?;
    let found = call.load(&call.key("stages", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Stage identifier specified"))
}

fn save(call: &mut Call<'_>, stage: &Stage) -> Result<(), Fault> {
    let key = call.key("stages", &[call.label(0), &stage.stage_name]);
    call.save(key, stage)
}

/// There is nothing to wait for here: a cache is there when it is asked for.
pub(super) fn cache_status(stage: &mut Stage) {
    let on = stage.cache_cluster_enabled;
    stage.cache_cluster_status = if on { "AVAILABLE" } else { "NOT_AVAILABLE" }.into();
    if on {
        stage.cache_cluster_size.get_or_insert_with(|| CACHE_SIZES[0].into());
    }
}

fn check(stage: &Stage) -> Result<(), Fault> {
    let name = &stage.stage_name;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(valid) {
        return Err(Fault::bad_request("Stage name only allows a-zA-Z0-9_-"));
    }
    let overrides = stage.canary_settings.as_ref().map(|canary| &canary.stage_variable_overrides);
    for variables in [Some(&stage.variables), overrides].into_iter().flatten() {
        if variables.len() > VARIABLES_MAX {
            return Err(Fault::limit("stage variables"));
        }
        for (name, value) in variables {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !(1..=VARIABLE_NAME_MAX).contains(&name.len()) || !name.bytes().all(plain) {
                return Err(Fault::bad_request(format!("Stage variable name is invalid: {name}")));
            }
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
            if value.len() > VARIABLE_VALUE_MAX || !value.bytes().all(allowed) {
                return Err(Fault::bad_request(format!(
                    "Stage variable value is invalid: {name}. Please use values with alphanumeric characters and the \
                     symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','."
                )));
            }
        }
    }
    let percent = stage.canary_settings.as_ref().map_or(0.0, |canary| canary.percent_traffic);
    match (0.0..=100.0).contains(&percent) {
        true => Ok(()),
        false => Err(Fault::bad_request("Canary percentTraffic must be between 0.0 and 100.0")),
    }
}
