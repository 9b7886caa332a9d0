//! `gateway stage`, `gateway deploy`, `gateway rollback`: what of an API is served, and by which of its deployments.

mod show;

use super::named::{ApiArgument, Objects, StageArgument};
use super::operation::{field, time};
use super::{End, Global, output};
use crate::control::types::{Kind, OperationAnswer, Problem};
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub(crate) enum Stage {
    /// The stages of an API and the deployments that they point to
    List {
        #[command(flatten)]
        api: ApiArgument,
    },
    /// One stage with its settings, its canary, and the deployments that it could be rolled back to
    Show {
        #[command(flatten)]
        stage: StageArgument,
    },
    /// The deployments of an API, newest first, and which stages serve them
    Deployments {
        #[command(flatten)]
        api: ApiArgument,
    },
}

/// Make a deployment of an API as it is now, and point a stage to it, or the canary that it has
#[derive(clap::Args)]
#[command(after_help = MANAGED_BY_FILE)]
pub(crate) struct Deploy {
    #[command(flatten)]
    stage: StageArgument,
    /// Stands in the list of deployments
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// A stage variable; the stage keeps its others. NAME= removes one
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
}

/// Point a stage back to an earlier deployment
#[derive(clap::Args)]
#[command(after_help = MANAGED_BY_FILE)]
pub(crate) struct Rollback {
    #[command(flatten)]
    stage: StageArgument,
    /// The deployment, as `gateway stage deployments API` lists it [default: the last one made before the one that
    /// serves; none where the API has several stages, for one of which it may have been made]
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

const MANAGED_BY_FILE: &str = "\
An API of an [[api]] in gateway.toml is managed by its file: edit that file, then run `gateway apply`.\n\
A stage that is not there yet is made by `deploy`.";

impl Stage {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::List { api } => {
                let api = api.find(global)?;
                // AWS gives all stages at once.
                let stages = api.get(&api.path("/stages"))?;
                if global.json {
                    output::json(&stages)?;
                } else {
                    output::print(&show::stages(items(&stages), &api.named.name));
                }
            }
            Self::Show { stage } => {
                let api = stage.find(global)?;
                let stage = api.get(&api.stage_path())?;
                if global.json {
                    output::json(&stage)?;
                } else {
                    let deployments = api.list(&api.path("/deployments"))?;
                    let stages = api.get(&api.path("/stages"))?;
                    output::print(&show::stage(&api, &stage, &deployments));
                    output::print(&format!("\n{}", show::deployments(&deployments, items(&stages))));
                }
            }
            Self::Deployments { api } => {
                let api = api.find(global)?;
                let deployments = api.list(&api.path("/deployments"))?;
                if global.json {
                    output::json(&json!({ "item": deployments }))?;
                } else {
                    let stages = api.get(&api.path("/stages"))?;
                    output::print(&show::deployments(&deployments, items(&stages)));
                }
            }
        }
        Ok(End::Done)
    }
}

fn items(collection: &Value) -> &[Value] {
    collection["item"].as_array().map_or(&[], Vec::as_slice)
}

impl Deploy {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let api = self.stage.find_or_new(global)?;
        api.may_change("edit that file, then run `gateway apply`: what it says is served at once")?;
        let mut body = json!({"stageName": api.stage(), "description": self.description});
        if !self.variables.is_empty() {
            body["variables"] = self.variables_of(&api)?.into();
        }
        let answer = api.change("POST", &api.path("/deployments"), body).map_err(|problem| {
            let what = format!("{} is not deployed: {}", api.stage_shown(), problem.what);
            Problem { what, mend: mend(&problem), ..problem }
        })?;
        let OperationAnswer { body: mut made, warnings, .. } = answer;
        if global.json {
            made["warnings"] = json!(warnings);
            output::json(&made)?;
        } else {
            output::say(&output::findings(&warnings));
            let stage = api.get(&api.stage_path())?;
            let (made, serves) = (field(&made, "/id"), field(&stage, "/deploymentId"));
            let name = api.stage_shown();
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

    /// Those that the stage has, with those that are named: AWS's CreateDeployment would replace them all.
    fn variables_of(&self, api: &Objects<'_>) -> Result<serde_json::Map<String, Value>, Problem> {
        let stages = api.get(&api.path("/stages"))?;
        let stage = items(&stages).iter().find(|stage| field(stage, "/stageName") == api.stage());
        let known = stage.and_then(|stage| stage["variables"].as_object());
        let mut variables = known.cloned().unwrap_or_default();
        for (name, value) in &self.variables {
            match value.is_empty() {
                true => drop(variables.remove(name)),
                false => drop(variables.insert(name.clone(), value.clone().into())),
            }
        }
        Ok(variables)
    }
}

impl Rollback {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let api = self.stage.find(global)?;
        api.may_change("put an earlier text of that file back, then run `gateway apply`")?;
        let stage = api.get(&api.stage_path())?;
        let now = field(&stage, "/deploymentId");
        let deployments = api.list(&api.path("/deployments"))?;
        let target = target(&api, &deployments, &now, self.to.as_deref())?;
        let to = field(target, "/id");
        let said = |verb| {
            let made = time(target, "/createdDate");
            let about = target["description"].as_str().filter(|about| !about.is_empty());
            let about = about.map_or(String::new(), |about| format!(", {about:?}"));
            let canary = kept_canary(&stage);
            format!(
                "{} {verb} deployment {to} (of {made}{about}) instead of {now}{canary}\n",
                api.stage_shown()
            )
        };
        if to == now {
            let text = format!("nothing to do: {} serves deployment {now}\n", api.stage_shown());
            return told(global, &text, rolled_back(&stage, &to, false));
        }
        if self.plan {
            return told(global, &said("would serve"), rolled_back(&stage, &to, false));
        }
        if !self.yes {
            output::say(&said("would serve"));
            if let Some(end) = output::unless_confirmed("Do it?", global.json) {
                return Ok(end);
            }
        }
        let patch = json!({"patchOperations": [{"op": "replace", "path": "/deploymentId", "value": to}]});
        let answer = api.change("PATCH", &api.stage_path(), patch)?;
        output::say(&output::findings(&answer.warnings));
        told(global, &said("serves"), rolled_back(&stage, &to, true))
    }
}

/// `canary`: AWS's object, which stays; null where there is none.
fn rolled_back(stage: &Value, to: &str, done: bool) -> Value {
    json!({"from": field(stage, "/deploymentId"), "to": to, "done": done, "canary": stage["canarySettings"]})
}

/// A stage that is rolled back keeps its canary, which may be what was to go.
fn kept_canary(stage: &Value) -> String {
    let canary = &stage["canarySettings"];
    if !canary.is_object() {
        return String::new();
    }
    let (deployment, percent) =
        (field(canary, "/deploymentId"), canary["percentTraffic"].as_f64().unwrap_or(0.0));
    format!(
        "; its canary keeps {percent} % on deployment {deployment}, until `aws apigateway update-stage` removes \
         /canarySettings"
    )
}

/// AWS's refusals say what is wrong, and not what to write.
fn mend(problem: &Problem) -> String {
    let says = |word: &str| problem.what.contains(word);
    if !problem.mend.is_empty() {
        problem.mend.clone()
    } else if says("tage") || says("ariable") {
        "write a stage as prod or v1_2, and variables as --variable name=value: names of letters, digits and _, values \
         of letters, digits and -._~:/?#&=,"
            .into()
    } else if says("No integration defined") {
        "every method needs one: `aws apigateway put-integration`, or delete the method".into()
    } else {
        String::new()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn told(global: &Global, text: &str, json: Value) -> Result<End, Problem> {
    if global.json {
        output::json(&json)?;
    } else {
        output::print(text);
    }
    Ok(End::Done)
}

/// The deployment of that id; without one the last that was made before `now`.
fn target<'d>(
    api: &Objects<'_>,
    deployments: &'d [Value],
    now: &str,
    to: Option<&str>,
) -> Result<&'d Value, Problem> {
    let with = |id: &str| deployments.iter().find(|deployment| field(deployment, "/id") == id);
    let list = format!("`gateway stage deployments {}` lists them", api.named.name);
    if let Some(to) = to {
        let what = || format!("API {} has no deployment {to:?}", api.shown());
        return with(to).ok_or_else(|| Problem::new(Kind::Unknown, what(), list));
    }
    if api.named.stages.len() > 1 {
        let stages = api.named.stages.join(", ");
        let what = format!(
            "{} has the stages {stages}: which of them a deployment was made for is not known",
            api.shown()
        );
        return Err(Problem::new(Kind::Conflict, what, format!("name one with --to: {list}")));
    }
    let made = |deployment: &Value| deployment["createdDate"].as_f64().unwrap_or(0.0);
    let since = with(now).map_or(f64::INFINITY, made);
    let before = deployments.iter().filter(|deployment| made(deployment) < since);
    let last = before.map(made).max_by(f64::total_cmp);
    let mend = || format!("name one with --to: {list}");
    // Dates are whole seconds: two of one second have no order.
    let at = |second: Option<f64>| deployments.iter().filter(move |known| Some(made(known)) == second);
    if at(Some(since)).count() > 1 || at(last).count() > 1 {
        let what =
            format!("deployments of {} were made within one second: which one came first?", api.shown());
        return Err(Problem::new(Kind::Conflict, what, mend()));
    }
    at(last).next().ok_or_else(|| {
        let what = format!("no deployment of {} was made before {now}, which serves", api.stage_shown());
        Problem::new(Kind::Conflict, what, mend())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_tells_the_canary_that_stays() {
        let canary = json!({"deploymentId": "b", "percentTraffic": 12.5});
        let stage = json!({"deploymentId": "c", "canarySettings": canary});
        let expected = json!({"from": "c", "to": "a", "done": true, "canary": canary});
        assert_eq!(rolled_back(&stage, "a", true), expected);
        assert_eq!(rolled_back(&json!({"deploymentId": "c"}), "a", false)["canary"], Value::Null);
    }

    #[test]
    fn a_canary_that_stays_is_told() {
        assert_eq!(kept_canary(&json!({"deploymentId": "a"})), "");
        let stage = json!({"canarySettings": {"deploymentId": "b", "percentTraffic": 12.5}});
        assert!(kept_canary(&stage).contains("12.5 % on deployment b"), "{}", kept_canary(&stage));
    }

    #[test]
    fn the_last_one_before_is_rolled_back_to() {
        let global = Global { config: None, socket: None, json: false };
        let api = Objects::of_name(&global, "pets", "prod");
        let made = |id: &str, at: u32| json!({"id": id, "createdDate": at});
        let all = [made("b", 20), made("a", 10), made("d", 40), made("c", 30)];
        let chosen = |now, to| target(&api, &all, now, to).map(|deployment| field(deployment, "/id"));
        assert_eq!(chosen("d", None), Ok("c".into()));
        assert_eq!(chosen("b", None), Ok("a".into()));
        assert_eq!(chosen("d", Some("a")), Ok("a".into()));
        assert_eq!(chosen("gone", None), Ok("d".into()));
        let mut several = Objects::of_name(&global, "pets", "prod");
        several.named.stages = vec!["dev".into(), "prod".into()];
        let problem = target(&several, &all, "d", None).unwrap_err();
        assert!(
            problem.what.contains("has the stages dev, prod") && problem.mend.contains("--to"),
            "{problem}"
        );
        assert_eq!(target(&several, &all, "d", Some("a")).map(|found| field(found, "/id")), Ok("a".into()));
        for (now, to) in [("a", None), ("d", Some("x"))] {
            let problem = chosen(now, to).unwrap_err();
            assert!(problem.mend.contains("`gateway stage deployments pets`"), "{problem}");
        }
        let same = [made("a", 10), made("b", 20), made("c", 20), made("d", 30)];
        for now in ["b", "d"] {
            let problem = target(&api, &same, now, None).unwrap_err();
            assert!(problem.what.contains("within one second"), "{problem}");
        }
    }
}
