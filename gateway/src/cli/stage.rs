//! `gateway stage`, `gateway deploy`, `gateway rollback`: what of an API made through the AWS API is served, and by
//! which of its deployments.

use super::operation::{Region, encoded, field, time};
use super::output::{self, row};
use super::{End, Global};
use crate::control::types::{Kind, Problem};
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub(crate) enum Stage {
    /// The stages of an API and the deployments that they point to
    List {
        /// Name or id of the API
        api: String,
        #[command(flatten)]
        region: Region,
    },
    /// One stage with its settings
    Show {
        /// Name or id of the API
        api: String,
        stage: String,
        #[command(flatten)]
        region: Region,
    },
}

/// Make a deployment of an API as it is now, and point a stage to it, or the canary that it has
#[derive(clap::Args)]
pub(crate) struct Deploy {
    /// Name or id of the API
    api: String,
    /// Its stage; made if it is not there
    stage: String,
    /// Stands in the list of deployments
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// A stage variable; with one, the stage has those alone that are named here, else it keeps its own
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    #[command(flatten)]
    region: Region,
}

/// Point a stage back to an earlier deployment
#[derive(clap::Args)]
pub(crate) struct Rollback {
    /// Name or id of the API
    api: String,
    stage: String,
    /// The deployment [default: the last one made before the one that serves]
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    region: Region,
}

impl Stage {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::List { api, region } => {
                let id = region.api(global, api)?;
                // AWS gives all stages at once.
                let stages = region.get(global, &format!("/restapis/{id}/stages"))?;
                if global.json {
                    output::json(&stages)?;
                } else {
                    output::print(&table(stages["item"].as_array().map_or(&[], Vec::as_slice)));
                }
            }
            Self::Show { api, stage, region } => {
                let id = region.api(global, api)?;
                let stage = region.get(global, &format!("/restapis/{id}/stages/{}", encoded(stage)))?;
                if global.json {
                    output::json(&stage)?;
                } else {
                    output::print(&(table(std::slice::from_ref(&stage)) + &settings(&stage)));
                }
            }
        }
        Ok(End::Done)
    }
}

impl Deploy {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let id = self.region.api(global, &self.api)?;
        let variables: serde_json::Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let mut body = json!({"stageName": self.stage, "description": self.description});
        if !variables.is_empty() {
            body["variables"] = variables.into();
        }
        let made = self.region.call(global, "POST", &format!("/restapis/{id}/deployments"), body)?;
        if global.json {
            output::json(&made)?;
        } else {
            let stage =
                self.region.get(global, &format!("/restapis/{id}/stages/{}", encoded(&self.stage)))?;
            let (made, serves) = (field(&made, "/id"), field(&stage, "/deploymentId"));
            let name = format!("{id}.{}", self.stage);
            output::print(&if made == serves {
                format!("{name} serves deployment {made}\n")
            } else {
                // As in AWS: while there is a canary, what is deployed goes to it.
                let share = field(&stage, "/canarySettings/percentTraffic");
                format!(
                    "the canary of {name} ({share} %) serves deployment {made}, all others {serves} still\n"
                )
            });
        }
        Ok(End::Done)
    }
}

impl Rollback {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let id = self.region.api(global, &self.api)?;
        let path = format!("/restapis/{id}/stages/{}", encoded(&self.stage));
        let now = field(&self.region.get(global, &path)?, "/deploymentId");
        let deployments = self.region.list(global, &format!("/restapis/{id}/deployments"))?;
        let target = target(&deployments, &now, self.to.as_deref())?;
        let to = field(target, "/id");
        let said = |verb| {
            let (made, about) = (time(target, "/createdDate"), field(target, "/description"));
            format!("{id}.{} {verb} deployment {to} (of {made}: {about}) instead of {now}\n", self.stage)
        };
        if to == now {
            let text = format!("nothing to do: {id}.{} serves deployment {now}\n", self.stage);
            return told(global, &text, (&now, &to, false));
        }
        if self.plan {
            return told(global, &said("would serve"), (&now, &to, false));
        }
        if !self.yes {
            output::say(&said("would serve"));
            if let Some(end) = output::unless_confirmed("Do it?") {
                return Ok(end);
            }
        }
        let patch = json!({"patchOperations": [{"op": "replace", "path": "/deploymentId", "value": to}]});
        self.region.call(global, "PATCH", &path, patch)?;
        told(global, &said("serves"), (&now, &to, true))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn told(global: &Global, text: &str, (from, to, done): (&str, &str, bool)) -> Result<End, Problem> {
    if global.json {
        output::json(&json!({"from": from, "to": to, "done": done}))?;
    } else {
        output::print(text);
    }
    Ok(End::Done)
}

/// The deployment of that id; without one the last that was made before `now`.
fn target<'d>(deployments: &'d [Value], now: &str, to: Option<&str>) -> Result<&'d Value, Problem> {
    let with = |id: &str| deployments.iter().find(|deployment| field(deployment, "/id") == id);
    let mend = "`aws apigateway get-deployments --rest-api-id ID` lists them";
    if let Some(to) = to {
        let what = || Problem::new(Kind::Unknown, format!("the API has no deployment {to}"), mend);
        return with(to).ok_or_else(what);
    }
    let made = |deployment: &Value| deployment["createdDate"].as_f64().unwrap_or(0.0);
    let since = with(now).map_or(f64::INFINITY, made);
    // Dates are whole seconds: two of one second have no order, and are named by whoever wants one of them.
    let before = deployments.iter().filter(|deployment| made(deployment) < since);
    before.max_by(|a, b| made(a).total_cmp(&made(b))).ok_or_else(|| {
        let what = "no deployment was made before the one that serves";
        Problem::new(Kind::Conflict, what, format!("name one with --to: {mend}"))
    })
}

fn table(stages: &[Value]) -> String {
    if stages.is_empty() {
        return "no stage: `gateway deploy API STAGE` makes one\n".into();
    }
    let mut rows = vec![row(["STAGE", "DEPLOYMENT", "CHANGED", "CACHE", "CANARY", "DESCRIPTION"])];
    for stage in stages {
        let cache = match stage["cacheClusterEnabled"].as_bool() {
            Some(true) => format!("{} GB", field(stage, "/cacheClusterSize")),
            _ => "-".into(),
        };
        let canary = match stage.pointer("/canarySettings") {
            None | Some(Value::Null) => "-".into(),
            Some(canary) => {
                format!("{} % to {}", field(canary, "/percentTraffic"), field(canary, "/deploymentId"))
            }
        };
        rows.push(row([
            &field(stage, "/stageName"),
            &field(stage, "/deploymentId"),
            &time(stage, "/lastUpdatedDate"),
            &cache,
            &canary,
            &field(stage, "/description"),
        ]));
    }
    output::table(&rows)
}

/// Variables and settings of methods, where there are some.
fn settings(stage: &Value) -> String {
    let mut text = String::new();
    for (name, title) in [("variables", "VARIABLE"), ("methodSettings", "METHOD")] {
        let Some(object) = stage[name].as_object().filter(|object| !object.is_empty()) else { continue };
        let mut rows = vec![row([title, "VALUE"])];
        for (key, value) in object {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rows.push(row([key, &value]));
        }
        text.push('\n');
        text.push_str(&output::table(&rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_before_is_rolled_back_to() {
        let made = |id: &str, at: u32| json!({"id": id, "createdDate": at});
        let all = [made("b", 20), made("a", 10), made("d", 40), made("c", 30)];
        let chosen = |now, to| target(&all, now, to).map(|deployment| field(deployment, "/id"));
        assert_eq!(chosen("d", None), Ok("c".into()));
        assert_eq!(chosen("b", None), Ok("a".into()));
        assert_eq!(chosen("d", Some("a")), Ok("a".into()));
        assert_eq!(chosen("gone", None), Ok("d".into()));
        assert!(chosen("a", None).is_err() && chosen("d", Some("x")).is_err());
        let same = [made("a", 10), made("b", 10)];
        assert!(target(&same, "b", None).is_err());
    }

    #[test]
    fn a_stage_is_a_line() {
        assert!(table(&[]).starts_with("no stage"));
        let stage = json!({"stageName": "prod", "deploymentId": "abc123", "lastUpdatedDate": 0,
            "cacheClusterEnabled": true, "cacheClusterSize": "0.5", "variables": {"host": "a"},
            "canarySettings": {"percentTraffic": 10.0, "deploymentId": "def456"}});
        let text = table(std::slice::from_ref(&stage));
        assert!(
            text.contains("prod   abc123      1970-01-01T00:00:00Z  0.5 GB  10.0 % to def456  -"),
            "{text}"
        );
        assert_eq!(settings(&stage), "\nVARIABLE  VALUE\nhost      a\n");
    }
}
