//! `gateway policy`: the resource policy of an API made through the AWS API.

use super::operation::{Region, field};
use super::output;
use super::{End, Global};
use crate::control::types::{Kind, Problem};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Policy {
    /// The policy, as JSON
    Show {
        /// Name or id of the API
        api: String,
        #[command(flatten)]
        region: Region,
    },
    /// Give the API the policy of a file; in force, as in AWS, with its next deployment
    Set {
        /// Name or id of the API
        api: String,
        /// The policy as JSON, as IAM writes it; `-` is standard input
        file: PathBuf,
        #[command(flatten)]
        region: Region,
    },
    /// Take the policy away; in force with the next deployment
    Clear {
        /// Name or id of the API
        api: String,
        #[command(flatten)]
        region: Region,
    },
}

impl Policy {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Show { api, region } => {
                let id = region.api(global, api)?;
                let policy = field(&region.get(global, &format!("/restapis/{id}"))?, "/policy");
                match unescaped(&policy) {
                    Some(policy) => output::json(&policy)?,
                    None if global.json => output::json(&Value::Null)?,
                    None => output::print(&format!("{id} has no resource policy\n")),
                }
                Ok(End::Done)
            }
            Self::Set { api, file, region } => {
                let text = read(file)?;
                let id = region.api(global, api)?;
                change(global, region, &id, Some(&text))
            }
            Self::Clear { api, region } => {
                let id = region.api(global, api)?;
                change(global, region, &id, None)
            }
        }
    }
}

fn change(global: &Global, region: &Region, id: &str, policy: Option<&str>) -> Result<End, Problem> {
    let path = format!("/restapis/{id}");
    let had = unescaped(&field(&region.get(global, &path)?, "/policy"));
    let wanted = policy.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let differs = had != wanted;
    if differs {
        let operation = match policy {
            Some(policy) => json!({"op": "replace", "path": "/policy", "value": policy}),
            None => json!({"op": "remove", "path": "/policy"}),
        };
        region.call(global, "PATCH", &path, json!({"patchOperations": [operation]}))?;
    }
    if global.json {
        output::json(&json!({"id": id, "done": differs}))?;
    } else if differs {
        output::print(&format!("{id}: done; `gateway deploy {id} STAGE` puts it in force\n"));
    } else {
        output::print(&format!("{id}: nothing to do, it has that policy\n"));
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
