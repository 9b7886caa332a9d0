//! `gateway policy`: the resource policy of an API made through the AWS API.

use super::named::{ApiArgument, Objects};
use super::operation::field;
use super::output;
use super::{End, Global};
use crate::control::check_policy;
use crate::control::types::{Kind, Named, Problem};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Policy {
    /// The policy, as JSON
    Show {
        #[command(flatten)]
        api: ApiArgument,
    },
    /// What of a policy would match nothing here, or count against every caller; nothing is changed
    Check {
        #[command(flatten)]
        api: ApiArgument,
        /// The policy as JSON, as IAM writes it; `-` is standard input [default: the one that the API has]
        file: Option<PathBuf>,
    },
    /// Give the API the policy of a file; in force, as in AWS, with its next deployment
    Set {
        #[command(flatten)]
        api: ApiArgument,
        /// The policy as JSON, as IAM writes it; `-` is standard input
        file: PathBuf,
    },
    /// Take the policy away; in force with the next deployment
    Clear {
        #[command(flatten)]
        api: ApiArgument,
    },
}

impl Policy {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Show { api } => {
                let api = api.find(global)?;
                let policy = field(&api.get(&api.path(""))?, "/policy");
                match unescaped(&policy) {
                    Some(policy) => output::json(&policy)?,
                    None if global.json => output::json(&Value::Null)?,
                    None => output::print(&format!("{} has no resource policy\n", api.shown())),
                }
                Ok(End::Done)
            }
            Self::Check { api, file } => check(global, &api.find(global)?, file.as_ref()),
            Self::Set { api, file } => {
                let text = read(file)?;
                change(global, &api.find(global)?, Some((&text, file)))
            }
            Self::Clear { api } => change(global, &api.find(global)?, None),
        }
    }
}

fn check(global: &Global, api: &Objects<'_>, file: Option<&PathBuf>) -> Result<End, Problem> {
    let policy = match file {
        Some(file) => Some(read(file)?),
        None => unescaped(&field(&api.get(&api.path(""))?, "/policy")).map(|policy| policy.to_string()),
    };
    let Some(policy) = policy else {
        let what = format!("{} has no resource policy", api.shown());
        let mend = format!("`gateway policy check {} FILE` checks one before it is set", api.named.name);
        return Err(Problem::new(Kind::Unknown, what, mend));
    };
    let warnings = warnings(&policy, file, api)?;
    if global.json {
        output::json(&json!({"id": api.named.id, "warnings": warnings}))?;
    } else {
        output::say(&told(&warnings));
        let found = output::count(warnings.len(), "warning");
        output::print(&format!("{}: {found}\n", api.shown()));
    }
    Ok(End::Done)
}

/// Err: it is no policy; `file`: where it stands.
fn warnings(policy: &str, file: Option<&PathBuf>, api: &Objects<'_>) -> Result<Vec<String>, Problem> {
    check_policy(policy, &api.named).map_err(|problem| match file {
        Some(file) => Problem { what: format!("{}: {}", file.display(), problem.what), ..problem },
        None => problem,
    })
}

fn told(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!("warning: {warning}\n")).collect()
}

fn change(global: &Global, api: &Objects<'_>, policy: Option<(&str, &PathBuf)>) -> Result<End, Problem> {
    api.may_change(
        "write x-amazon-apigateway-policy in that file, or take it out, then run `gateway apply`",
    )?;
    let had = unescaped(&field(&api.get(&api.path(""))?, "/policy"));
    let wanted = policy.and_then(|(text, _)| serde_json::from_str::<Value>(text).ok());
    let differs = had != wanted;
    let warnings = policy.map_or(Ok(Vec::new()), |(text, file)| warnings(text, Some(file), api))?;
    if !global.json {
        output::say(&told(&warnings));
    }
    if differs {
        let operation = match policy {
            Some((text, _)) => json!({"op": "replace", "path": "/policy", "value": text}),
            None => json!({"op": "remove", "path": "/policy"}),
        };
        api.call("PATCH", &api.path(""), json!({"patchOperations": [operation]}))?;
    }
    let Named { id, name, stages, .. } = &api.named;
    if global.json {
        output::json(&json!({"id": id, "done": differs, "warnings": warnings}))?;
    } else if differs {
        let stage = stages.first().map_or("STAGE", String::as_str);
        let shown = api.shown();
        output::print(&format!("{shown}: done; `gateway deploy {name} {stage}` puts it in force\n"));
    } else {
        let has = if policy.is_some() { "that" } else { "no" };
        output::print(&format!("{}: nothing to do, it has {has} policy\n", api.shown()));
    }
    Ok(End::Done)
}

fn read(file: &PathBuf) -> Result<String, Problem> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let shown = file.display();
    let text = text.map_err(|error| {
        Problem::new(
            Kind::Request,
            format!("{shown} cannot be read: {error}"),
            "name a file, or - for standard input",
        )
    })?;
    serde_json::from_str::<Value>(&text).map(|_| text).map_err(|error| {
        let what = format!("{shown}:{}:{}: not JSON: {error}", error.line(), error.column());
        Problem::new(
            Kind::Request,
            what,
            "write the policy as IAM does: {\"Version\": \"2012-10-17\", \"Statement\": [...]}",
        )
    })
}

/// AWS tells policies with a backslash before each quote and each backslash.
fn unescaped(policy: &str) -> Option<Value> {
    let mut text = String::with_capacity(policy.len());
    let mut rest = policy.chars();
    while let Some(c) = rest.next() {
        text.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_aws_tells_it() {
        let policy = json!({"Version": "2012-10-17"});
        assert_eq!(unescaped("{\\\"Version\\\":\\\"2012-10-17\\\"}"), Some(policy.clone()));
        assert_eq!(unescaped("{\"Version\":\"2012-10-17\"}"), Some(policy));
        let quoted = json!({"Sid": "a \"b\" \\c"});
        let told = quoted.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(unescaped(&told), Some(quoted));
        assert_eq!(unescaped("-"), None);
    }
}
