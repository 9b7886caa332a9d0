//! Stages and deployments as tables.

use crate::cli::named::Objects;
use crate::cli::operation::{field, time};
use crate::cli::output::{self, row};
use serde_json::Value;

/// A line each.
pub(super) fn stages(stages: &[Value], api: &str) -> String {
    if stages.is_empty() {
        return format!("no stage: `gateway deploy {api} STAGE` makes one\n");
    }
    let mut rows = vec![row(["STAGE", "DEPLOYMENT", "CHANGED", "CACHE", "CANARY", "DESCRIPTION"])];
    for stage in stages {
        let canary = canary_of(stage).map(|canary| {
            format!("{} % to {}", field(canary, "/percentTraffic"), field(canary, "/deploymentId"))
        });
        rows.push(row([
            &field(stage, "/stageName"),
            &field(stage, "/deploymentId"),
            &time(stage, "/lastUpdatedDate"),
            &cache(stage),
            &canary.unwrap_or_else(|| "-".into()),
            &text(stage, "description"),
        ]));
    }
    output::table(&rows)
}

fn canary_of(stage: &Value) -> Option<&Value> {
    stage.get("canarySettings").filter(|canary| !canary.is_null())
}

fn cache(stage: &Value) -> String {
    match stage["cacheClusterEnabled"].as_bool() {
        Some(true) => format!("{} GB", field(stage, "/cacheClusterSize")),
        _ => "-".into(),
    }
}

/// A text, or "-" where there is none.
fn text(object: &Value, member: &str) -> String {
    object[member].as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// Newest first; which stages, and whose canaries, serve each.
pub(super) fn deployments(deployments: &[Value], stages: &[Value]) -> String {
    if deployments.is_empty() {
        return "no deployment: `gateway deploy API STAGE` makes one\n".into();
    }
    let mut newest: Vec<&Value> = deployments.iter().collect();
    newest.sort_by(|a, b| {
        let made = |deployment: &Value| deployment["createdDate"].as_f64().unwrap_or(0.0);
        made(b).total_cmp(&made(a))
    });
    let mut rows = vec![row(["DEPLOYMENT", "MADE", "SERVES", "DESCRIPTION"])];
    for deployment in newest {
        let id = field(deployment, "/id");
        let mut serves = Vec::new();
        for stage in stages {
            let name = field(stage, "/stageName");
            if let Some(canary) = canary_of(stage).filter(|canary| field(canary, "/deploymentId") == id) {
                serves.push(format!("{name}'s canary ({} %)", field(canary, "/percentTraffic")));
            }
            if field(stage, "/deploymentId") == id {
                serves.push(name);
            }
        }
        let (made, about) = (time(deployment, "/createdDate"), text(deployment, "description"));
        rows.push(row([&id, &made, &output::join(&serves), &about]));
    }
    output::table(&rows)
}

/// One stage: what it serves, its canary, variables and settings of methods.
pub(super) fn stage(api: &Objects<'_>, stage: &Value, deployments: &[Value]) -> String {
    let named = &api.named;
    let by = match &named.file {
        Some(file) => format!("the file {}", file.display()),
        None => "the AWS API".into(),
    };
    let deployment = |id: &str| {
        let known = deployments.iter().find(|deployment| field(deployment, "/id") == id);
        let made = known.map_or(String::new(), |of| format!(", of {}", time(of, "/createdDate")));
        format!("{id}{made}")
    };
    let mut rows = vec![
        row(["stage", &format!("{}, {}", api.stage_shown(), named.region)]),
        row(["managed by", &by]),
        row(["deployment", &deployment(&field(stage, "/deploymentId"))]),
        row(["changed", &time(stage, "/lastUpdatedDate")]),
        row(["description", &text(stage, "description")]),
        row(["cache", &cache(stage)]),
    ];
    if let Some(canary) = canary_of(stage) {
        let serves = deployment(&field(canary, "/deploymentId"));
        let shares = if canary["useStageCache"] == true { ", with the stage's cache" } else { "" };
        let share = field(canary, "/percentTraffic");
        rows.push(row(["canary", &format!("{share} % of the requests go to {serves}{shares}")]));
    }
    for (title, member) in [("web ACL", "webAclArn"), ("certificate", "clientCertificateId")] {
        if stage[member].is_string() {
            rows.push(row([title, &field(stage, &format!("/{member}"))]));
        }
    }
    output::table(&rows) + &variables(stage) + &method_settings(stage)
}

/// Those of the stage, and what its canary has in their place.
fn variables(stage: &Value) -> String {
    let none = serde_json::Map::new();
    let own = stage["variables"].as_object().unwrap_or(&none);
    let canarys = canary_of(stage).and_then(|canary| canary["stageVariableOverrides"].as_object());
    let Some(canarys) = canarys.filter(|canarys| !canarys.is_empty()) else {
        let mut rows = vec![row(["VARIABLE", "VALUE"])];
        rows.extend(own.iter().map(|(name, value)| row([name, &said(value)])));
        return if own.is_empty() { String::new() } else { format!("\n{}", output::table(&rows)) };
    };
    let mut rows = vec![row(["VARIABLE", "VALUE", "THE CANARY'S"])];
    let names: std::collections::BTreeSet<&String> = own.keys().chain(canarys.keys()).collect();
    for name in names {
        let value = |map: &serde_json::Map<String, Value>| map.get(name).map_or("-".into(), said);
        rows.push(row([name, &value(own), &value(canarys)]));
    }
    format!("\n{}", output::table(&rows))
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A line for each setting of each method; `*/*` is all of them.
fn method_settings(stage: &Value) -> String {
    let methods = stage["methodSettings"].as_object().filter(|methods| !methods.is_empty());
    let Some(methods) = methods else { return String::new() };
    let mut rows = vec![row(["METHOD", "SETTING", "VALUE"])];
    for (path, settings) in methods {
        let (resource, method) = path.rsplit_once('/').unwrap_or(("", path));
        let method = match path.as_str() {
            "*/*" => path.clone(),
            _ => format!("{method} {}", resource.replace("~1", "/").replace("~0", "~")),
        };
        for (name, value) in settings.as_object().into_iter().flatten() {
            rows.push(row([&method, name, &said(value)]));
        }
    }
    format!("\n{}", output::table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;
    use serde_json::json;

    fn prod() -> Value {
        json!({"stageName": "prod", "deploymentId": "abc123", "lastUpdatedDate": 0, "description": "",
            "cacheClusterEnabled": true, "cacheClusterSize": "0.5", "variables": {"host": "a", "x": "1"},
            "methodSettings": {"*/*": {"throttlingRateLimit": 5.0}, "~1pets/GET": {"cachingEnabled": true}},
            "canarySettings": {"percentTraffic": 10.0, "deploymentId": "def456",
                "stageVariableOverrides": {"host": "b"}}})
    }

    #[test]
    fn a_stage_is_a_line() {
        assert_eq!(stages(&[], "pets"), "no stage: `gateway deploy pets STAGE` makes one\n");
        let text = stages(&[prod()], "pets");
        assert!(
            text.contains("prod   abc123      1970-01-01T00:00:00Z  0.5 GB  10.0 % to def456  -"),
            "{text}"
        );
    }

    #[test]
    fn deployments_say_who_serves_them() {
        let made =
            |id: &str, at: u32, about: &str| json!({"id": id, "createdDate": at, "description": about});
        let all = [made("abc123", 1, "first"), made("def456", 9, ""), made("old", 0, "")];
        let test = json!({"stageName": "test", "deploymentId": "abc123"});
        assert_eq!(
            deployments(&all, &[prod(), test]),
            "DEPLOYMENT  MADE                  SERVES                  DESCRIPTION\n\
             def456      1970-01-01T00:00:09Z  prod's canary (10.0 %)  -\n\
             abc123      1970-01-01T00:00:01Z  prod, test              first\n\
             old         1970-01-01T00:00:00Z  -                       -\n"
        );
        assert!(deployments(&[], &[]).starts_with("no deployment"));
    }

    #[test]
    fn one_stage_is_a_page() {
        let global = Global { config: None, socket: None, json: false };
        let api = Objects::of_name(&global, "pets", "prod");
        let all = [json!({"id": "def456", "createdDate": 9})];
        let text = stage(&api, &prod(), &all);
        for line in [
            "stage        pets.prod (1d), us-east-1\n",
            "managed by   the AWS API\n",
            "canary       10.0 % of the requests go to def456, of 1970-01-01T00:00:09Z\n",
            "\nVARIABLE  VALUE  THE CANARY'S\nhost      a      b\nx         1      -\n",
            "*/*        throttlingRateLimit  5.0\n",
            "GET /pets  cachingEnabled       true\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let plain = stage(&api, &json!({"stageName": "prod", "variables": {"host": "a"}}), &[]);
        assert!(plain.ends_with("\nVARIABLE  VALUE\nhost      a\n"), "{plain}");
    }
}
