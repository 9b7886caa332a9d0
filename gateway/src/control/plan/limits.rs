//! Of a plan, who may call how often: API keys, usage plans, throttles, and the settings of stages.

use super::change;
use crate::config::{ApiEntry, ApiKey, Document, UsagePlan};
use crate::control::types::Change;
use crate::model::{MethodSetting, Quota, Throttle};
use std::collections::BTreeSet;

/// Of what stands in files.
pub(super) fn limits(old: &Document, new: &Document) -> Vec<Change> {
    let mut changes = Vec::new();
    let (before, after) = (old.node.throttle, new.node.throttle);
    if before != after {
        changes.push(change("node", "throttling", format!("{} → {}", said(before), said(after))));
    }
    for (name, before, after) in both(&old.api_keys, &new.api_keys, |key| &key.name) {
        changes.extend(key(before, after).into_iter().map(|what| change("api_key", name, what)));
    }
    for (name, before, after) in both(&old.usage_plans, &new.usage_plans, |plan| &plan.name) {
        changes.extend(plan(before, after).into_iter().map(|what| change("usage_plan", name, what)));
    }
    for (name, before, after) in both(&old.apis, &new.apis, |api| &api.name) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        if before.owner.is_none() && after.owner.is_none() {
            changes.extend(stage(before, after).into_iter().map(|what| change("api", name, what)));
        }
    }
    changes
}

/// Each name once: those of `new` in their order, then those that are gone.
fn both<'d, T>(
    old: &'d [T],
    new: &'d [T],
    name: impl Fn(&T) -> &String + Copy,
) -> Vec<(&'d String, Option<&'d T>, Option<&'d T>)>
where
    T: 'd,
{
    let find = |list: &'d [T], wanted: &str| list.iter().find(|of| name(of) == wanted);
    let there = new.iter().map(|after| (after, find(old, name(after)), Some(after)));
    let gone = old.iter().filter(|before| find(new, name(before)).is_none());
    let gone = gone.map(|before| (before, Some(before), None));
    there.chain(gone).map(|(of, before, after)| (name(of), before, after)).collect()
}

fn key(before: Option<&ApiKey>, after: Option<&ApiKey>) -> Vec<String> {
    let able = |enabled: bool| if enabled { "enabled" } else { "disabled" };
    match (before, after) {
        (None, Some(after)) => vec![format!("added, {}", able(after.enabled))],
        (Some(_), None) => vec!["removed: whoever calls with it is refused".into()],
        (Some(before), Some(after)) => {
            let mut changes = Vec::new();
            if before.value != after.value {
                changes.push("another value: whoever calls with the old one is refused".into());
            }
            if before.enabled != after.enabled {
                changes.push(format!("{} → {}", able(before.enabled), able(after.enabled)));
            }
            changes
        }
        (None, None) => Vec::new(),
    }
}

fn plan(before: Option<&UsagePlan>, after: Option<&UsagePlan>) -> Vec<String> {
    let Some(after) = after else {
        return vec!["removed: whoever calls by it alone is refused".into()];
    };
    let nothing = UsagePlan { name: after.name.clone(), ..UsagePlan::default() };
    let mut changes = Vec::new();
    if before.is_none() {
        changes.push("added".to_owned());
    }
    let before = before.unwrap_or(&nothing);
    for (what, before, after) in [("apis", &before.apis, &after.apis), ("keys", &before.keys, &after.keys)] {
        if before != after {
            changes.push(format!("{what} [{}] → [{}]", before.join(", "), after.join(", ")));
        }
    }
    if before.throttle != after.throttle {
        changes.push(format!("throttle of each key {} → {}", said(before.throttle), said(after.throttle)));
    }
    if before.quota != after.quota {
        changes.push(format!("quota of each key {} → {}", quota(before.quota), quota(after.quota)));
    }
    let apis: BTreeSet<&String> = before.throttles.keys().chain(after.throttles.keys()).collect();
    for api in apis {
        let (old, new) = (before.throttles.get(api), after.throttles.get(api));
        let paths: BTreeSet<_> = old.into_iter().chain(new).flat_map(|of| of.keys()).collect();
        for path in paths {
            let of = |list: Option<&_>| {
                list.and_then(|list: &crate::config::MethodThrottles| list.get(path)).copied()
            };
            if of(old) != of(new) {
                changes.push(format!("throttle of {api} {path} {} → {}", said(of(old)), said(of(new))));
            }
        }
    }
    changes
}

/// The settings of a stage and of its methods.
fn stage(before: &ApiEntry, after: &ApiEntry) -> Vec<String> {
    let mut changes = Vec::new();
    let size = |api: &ApiEntry| match (api.settings.cache_cluster_enabled, api.settings.cache_cluster_size) {
        (true, Some(size)) => format!("{} GB", size.as_str()),
        _ => "none".into(),
    };
    if size(before) != size(after) {
        changes.push(format!("cache {} → {}", size(before), size(after)));
    }
    let (old, new) = (&before.settings.method_settings, &after.settings.method_settings);
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let throttle = |setting: Option<&MethodSetting>| {
            said(setting.map(MethodSetting::throttle).filter(|throttle| !throttle.is_unlimited()))
        };
        let (before, after) = (old.get(path), new.get(path));
        match (before, after) {
            (None, Some(_)) => changes.push(format!("settings of {path} added")),
            (Some(_), None) => changes.push(format!("settings of {path} removed")),
            (Some(before), Some(after)) if rest(before) != rest(after) => {
                changes.push(format!("settings of {path} changed"));
            }
            _ => {}
        }
        if throttle(before) != throttle(after) {
            changes.push(format!("throttle of {path} {} → {}", throttle(before), throttle(after)));
        }
    }
    changes
}

/// All but its throttle.
fn rest(setting: &MethodSetting) -> MethodSetting {
    MethodSetting { throttling_rate_limit: 0.0, throttling_burst_limit: 0, ..setting.clone() }
}

fn said(throttle: Option<Throttle>) -> String {
    throttle.unwrap_or(Throttle::NONE).to_string()
}

fn quota(quota: Option<Quota>) -> String {
    quota.map_or("none".into(), |Quota { limit, offset, period }| {
        let begins = if offset > 0 { format!(" from its day {offset} on") } else { String::new() };
        format!("{limit} a {}{begins}", period.as_str().to_ascii_lowercase())
    })
}
