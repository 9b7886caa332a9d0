//! `gateway keys`

use super::client::{self, segment};
use super::output::{self, row, table};
use super::{End, Global};
use crate::control::types::{AccessKeys, KeyRequest, NewAccessKey, Problem};

/// Access keys that aws cli, SDKs and Terraform sign with
#[derive(clap::Subcommand)]
pub(crate) enum Keys {
    /// Make one; its secret is shown now and never again
    Create {
        /// What it is for, in the list
        #[arg(long, value_parser = name)]
        name: Option<String>,
    },
    /// Which there are, without their secrets
    List,
    /// Nobody signs with it any more
    Delete {
        /// Id of the key, as `gateway keys list` shows it: AKIA...
        id: String,
    },
}

impl Keys {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Create { name } => {
                let made: NewAccessKey =
                    client::post(global, "/keys", &KeyRequest { name: name.clone().unwrap_or_default() })?;
                if global.json {
                    output::json(&made)?;
                } else {
                    output::print(&format!(
                        "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n",
                        made.access_key_id, made.secret_access_key
                    ));
                    output::say("the secret is not shown again\n");
                }
            }
            Self::List => shown(&client::get(global, "/keys")?, global)?,
            Self::Delete { id } => {
                let id = segment(id, "an access key", "gateway keys list")?;
                shown(&client::post(global, &format!("/keys/{id}/delete"), &())?, global)?;
            }
        }
        Ok(End::Done)
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("an empty name says nothing in the list: write one, or leave --name out");
    }
    Ok(text.to_owned())
}

fn shown(keys: &AccessKeys, global: &Global) -> Result<(), Problem> {
    if global.json {
        return output::json(keys);
    }
    if keys.keys.is_empty() {
        output::print("there is no access key: `gateway keys create` makes one\n");
        return Ok(());
    }
    let mut rows = vec![row(["ACCESS KEY", "CREATED", "NAME"])];
    rows.extend(keys.keys.iter().map(|key| row([&key.access_key_id, &key.created, &key.name])));
    output::print(&table(&rows));
    Ok(())
}
