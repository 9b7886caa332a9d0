//! UpdateStage: the paths of a stage, of its methods' settings, and of its canary with its promotion.

use super::{CACHE_SIZES, Stage};
use crate::aws::fault::Violations;
use crate::aws::patch::{Dialect, Kind, Operation, Rule, optional, replace};
use crate::aws::{Call, Fault, deployment, patched};
use crate::model::{
    CACHE_TTL_SECONDS_MAX, MethodPath, MethodSetting, UnauthorizedCacheControlHeaderStrategy,
};

const RULES: &[Rule] = &[
    replace("/deploymentId", Kind::Text),
    optional("/description", Kind::Text),
    replace("/cacheClusterEnabled", Kind::Flag),
    replace("/cacheClusterSize", Kind::Text),
    optional("/clientCertificateId", Kind::Text),
    optional("/accessLogSettings", Kind::Text),
    optional("/accessLogSettings/destinationArn", Kind::Text),
    optional("/accessLogSettings/format", Kind::Text),
    optional("/variables/*", Kind::Entry),
    replace("/tracingEnabled", Kind::Flag),
    optional("/documentationVersion", Kind::Text),
    replace("/canarySettings/percentTraffic", Kind::Number),
    replace("/canarySettings/deploymentId", Kind::Text),
    replace("/canarySettings/useStageCache", Kind::Flag),
    optional("/canarySettings/stageVariableOverrides/*", Kind::Entry),
];

/// As AWS lists them, with the commas that it leaves out.
const LISTED: &str = "[/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, \
    /accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format, \
    /{resourcePath}/{httpMethod}/metrics/enabled, /{resourcePath}/{httpMethod}/logging/dataTrace, \
    /{resourcePath}/{httpMethod}/logging/loglevel, /{resourcePath}/{httpMethod}/throttling/burstLimit\
    /{resourcePath}/{httpMethod}/throttling/rateLimit/{resourcePath}/{httpMethod}/caching/ttlInSeconds, \
    /{resourcePath}/{httpMethod}/caching/enabled, /{resourcePath}/{httpMethod}/caching/dataEncrypted, \
    /{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl, \
    /{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy, /*/*/metrics/enabled, \
    /*/*/logging/dataTrace, /*/*/logging/loglevel, /*/*/throttling/burstLimit /*/*/throttling/rateLimit \
    /*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, \
    /*/*/caching/requireAuthorizationForCacheControl, /*/*/caching/unauthorizedCacheControlHeaderStrategy, \
    /variables/{variable_name}, /tracingEnabled]";

const LEVELS: [&str; 3] = ["OFF", "ERROR", "INFO"];
const STRATEGIES: [(&str, UnauthorizedCacheControlHeaderStrategy); 3] =
    UnauthorizedCacheControlHeaderStrategy::ALL;
/// Methods with settings of their own, of one stage.
const SETTINGS_MAX: usize = 10_000;

pub(super) fn apply(call: &Call<'_>, stage: &mut Stage, operation: &Operation) -> Result<(), Fault> {
    let (op, path) = (operation.op.as_str(), operation.path.as_str());
    let value = operation.value.as_deref();
    match (op, path) {
        ("copy", _) => return promote(stage, operation),
        ("remove", "/canarySettings") => {
            stage.canary_settings = None;
            return Ok(());
        }
        ("remove", "/accessLogSettings") => {
            stage.access_log_settings = None;
            return Ok(());
        }
        (_, "/accessLogSettings") => {
            return Err(Fault::bad_request(
                "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, \
                 /accessLogSettings/format]",
            ));
        }
        ("add", "/canarySettings/deploymentId") => {
            return Err(Fault::bad_request("Invalid add operation with path: /canarySettings/deploymentId"));
        }
        (_, "/deploymentId" | "/canarySettings/deploymentId")
            if !deployment::exists(call, value.unwrap_or_default())? =>
        {
            return Err(Fault::bad_request("Deployment id does not exist"));
        }
        (_, "/cacheClusterSize") => {
            let mut violations = Violations::default();
            violations.one_of(value, "updateStageInput.cacheClusterSize", &CACHE_SIZES);
            violations.finish()?;
        }
        _ => {}
    }
    if op != "remove" && path.starts_with("/accessLogSettings/") {
        access_log(path, value.unwrap_or_default())?;
    }
    if path.starts_with("/canarySettings") && stage.canary_settings.is_none() {
        // The first word of a canary makes one, of what runs.
        let deployment_id = stage.deployment_id.clone();
        stage.canary_settings = Some(super::CanarySettings { deployment_id, ..Default::default() });
    }
    let first = operation.segments().into_iter().next().unwrap_or_default();
    let own = RULES.iter().any(|rule| rule.path.trim_start_matches('/').split('/').next() == Some(&first));
    if !own {
        return setting(stage, operation);
    }
    // A stage is as lenient with `add` of what it has once as AWS's clients are.
    let operation =
        Operation { op: if op == "add" { "replace".into() } else { op.into() }, ..operation.clone() };
    let mut changed: Stage =
        patched(stage, RULES, Dialect::Plain, std::slice::from_ref(&operation)).map_err(|fault| {
            if fault.message.starts_with("Invalid patch path") { unlisted(path) } else { fault }
        })?;
    // An empty text takes away what can be named.
    for named in [&mut changed.client_certificate_id, &mut changed.documentation_version] {
        *named = named.take().filter(|name| !name.is_empty());
    }
    *stage = changed;
    Ok(())
}

fn access_log(path: &str, value: &str) -> Result<(), Fault> {
    if value.is_empty() {
        return Err(Fault::bad_request("Access Log value must not be empty"));
    }
    let parts = value.splitn(6, ':').filter(|part| !part.is_empty()).count();
    if path.ends_with("/destinationArn") && (!value.starts_with("arn:") || parts < 6) {
        return Err(Fault::bad_request(format!("Invalid ARN. ARN is not well formed {value}")));
    }
    Ok(())
}

fn unlisted(path: &str) -> Fault {
    Fault::bad_request(format!("Invalid method setting path: {path}. Must be one of: {LISTED}"))
}

/// The canary's deployment or variables become the stage's.
fn promote(stage: &mut Stage, operation: &Operation) -> Result<(), Fault> {
    let Some(canary) = &mut stage.canary_settings else {
        return Err(Fault::bad_request("Promotion not available. Canary does not exist."));
    };
    match (operation.path.as_str(), operation.from.as_deref()) {
        ("/deploymentId", Some("/canarySettings/deploymentId")) => {
            stage.deployment_id.clone_from(&canary.deployment_id);
            canary.percent_traffic = 0.0;
        }
        ("/variables", Some("/canarySettings/stageVariableOverrides")) => {
            stage.variables.extend(canary.stage_variable_overrides.clone());
        }
        (path, from) => {
            return Err(Fault::bad_request(format!(
                "Invalid copy operation with path: {path} and from {}. Valid copy:path are [/deploymentId, /variables] \
                 and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides].",
                from.unwrap_or("null")
            )));
        }
    }
    Ok(())
}

/// `/*/*/caching/enabled`, `/~1pets/GET/throttling/rateLimit`; `remove /*/*` takes all of a method's away. Touching one
/// setting of a method fills in the others with their defaults.
fn setting(stage: &mut Stage, operation: &Operation) -> Result<(), Fault> {
    let segments = operation.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unlisted = || unlisted(&operation.path);
    let [resource, method, rest @ ..] = segments.as_slice() else { return Err(unlisted()) };
    let key = MethodPath::parse(&format!("{resource}/{method}")).ok_or_else(unlisted)?;
    let settings = &mut stage.method_settings;
    match (rest, operation.op.as_str()) {
        ([], "remove") => {
            let removed = settings.remove(&key);
            removed.map(drop).ok_or_else(|| nothing_there(&operation.path))
        }
        ([group, name], "remove") => {
            let found = settings.get_mut(&key).ok_or_else(|| nothing_there(&format!("{group}/{name}")))?;
            let default = default_of(group, name).ok_or_else(unlisted)?;
            set(found, group, name, &default).map_err(|()| unlisted())
        }
        ([group, name], _) => {
            if settings.len() >= SETTINGS_MAX && !settings.contains_key(&key) {
                return Err(Fault::limit("method settings"));
            }
            let mut changed = settings.get(&key).cloned().unwrap_or_default();
            let value = operation.value.as_deref().unwrap_or_default();
            default_of(group, name).ok_or_else(unlisted)?;
            set(&mut changed, group, name, value).map_err(|()| {
                Fault::bad_request(format!("Invalid value for method setting {group}/{name}: {value}"))
            })?;
            settings.insert(key, changed);
            Ok(())
        }
        _ => Err(unlisted()),
    }
}

fn nothing_there(what: &str) -> Fault {
    Fault::bad_request(format!(
        "Cannot remove method setting {what} because there is no method setting for this method "
    ))
}

/// None: there is no such setting.
fn default_of(group: &str, name: &str) -> Option<String> {
    let default = MethodSetting::default();
    Some(match (group, name) {
        ("metrics" | "caching", "enabled") | ("logging", "dataTrace") | ("caching", "dataEncrypted") => {
            "false".into()
        }
        ("logging", "loglevel") => LEVELS[0].into(),
        ("throttling", "burstLimit") => default.throttling_burst_limit.to_string(),
        ("throttling", "rateLimit") => default.throttling_rate_limit.to_string(),
        ("caching", "ttlInSeconds") => default.cache_ttl_in_seconds.to_string(),
        ("caching", "requireAuthorizationForCacheControl") => "true".into(),
        ("caching", "unauthorizedCacheControlHeaderStrategy") => STRATEGIES
            .iter()
            .find(|(_, strategy)| *strategy == default.unauthorized_cache_control_header_strategy)?
            .0
            .into(),
        _ => return None,
    })
}

/// Err: the value does not fit.
fn set(setting: &mut MethodSetting, group: &str, name: &str, value: &str) -> Result<(), ()> {
    let flag = value.eq_ignore_ascii_case("true");
    match (group, name) {
        ("metrics", "enabled") => setting.metrics_enabled = flag,
        ("logging", "dataTrace") => setting.data_trace_enabled = flag,
        ("logging", "loglevel") if LEVELS.contains(&value) => setting.logging_level = Some(value.into()),
        ("throttling", "burstLimit") => setting.throttling_burst_limit = value.parse().map_err(drop)?,
        ("throttling", "rateLimit") => {
            let rate: f64 = value.parse().map_err(drop)?;
            setting.throttling_rate_limit = Some(rate).filter(|rate| rate.is_finite()).ok_or(())?;
        }
        ("caching", "ttlInSeconds") => {
            let ttl: u32 = value.parse().map_err(drop)?;
            setting.cache_ttl_in_seconds = Some(ttl).filter(|ttl| *ttl <= CACHE_TTL_SECONDS_MAX).ok_or(())?;
        }
        ("caching", "enabled") => setting.caching_enabled = flag,
        ("caching", "dataEncrypted") => setting.cache_data_encrypted = flag,
        ("caching", "requireAuthorizationForCacheControl") => {
            setting.require_authorization_for_cache_control = flag;
        }
        ("caching", "unauthorizedCacheControlHeaderStrategy") => {
            let named = STRATEGIES.iter().find(|(name, _)| *name == value).ok_or(())?;
            setting.unauthorized_cache_control_header_strategy = named.1;
        }
        _ => return Err(()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage_after(op: &str, path: &str, value: &str) -> Result<Stage, String> {
        let mut stage = Stage::default();
        stage
            .method_settings
            .insert(MethodPath::All, MethodSetting { caching_enabled: true, ..Default::default() });
        let operation = Operation { op: op.into(), path: path.into(), value: Some(value.into()), from: None };
        setting(&mut stage, &operation).map(|()| stage).map_err(|fault| fault.message)
    }

    #[test]
    fn a_methods_settings_are_filled_in_and_taken_away() {
        let stage = stage_after("replace", "/~1pets~1{id}/GET/throttling/rateLimit", "2.5").unwrap();
        let setting = &stage.method_settings[&MethodPath::parse("pets/{id}/GET").unwrap()];
        assert_eq!((setting.throttling_rate_limit, setting.throttling_burst_limit), (2.5, 5000));
        assert!(stage_after("remove", "/*/*", "").unwrap().method_settings.is_empty());
        assert!(
            !stage_after("remove", "/*/*/caching/enabled", "").unwrap().method_settings[&MethodPath::All]
                .caching_enabled
        );
    }

    #[test]
    fn paths_that_do_not_exist_are_answered_with_the_list() {
        let message = stage_after("replace", "/test/GET/throttling/burst", "1").unwrap_err();
        assert!(
            message.starts_with("Invalid method setting path: /test/GET/throttling/burst. Must be one of: [")
        );
        assert!(
            message.contains("burstLimit/{resourcePath}/{httpMethod}/throttling/rateLimit/{resourcePath}")
        );
        let message = stage_after("remove", "/a/GET", "").unwrap_err();
        assert_eq!(
            message,
            "Cannot remove method setting /a/GET because there is no method setting for this method "
        );
    }
}
