//! `gateway api`

use super::apply::{self, How};
use super::client::{self, segment};
use super::output::{self, row};
use super::{End, Global};
use crate::control::type_name;
use crate::control::types::{ApiDetail, ApiStatus, EndpointRequest, Plan, Problem};
use crate::model::EndpointType;
use clap::ValueEnum;

#[derive(clap::Subcommand)]
pub(crate) enum Api {
    /// All APIs, their types and who serves them
    List,
    /// One API: addresses to try, its methods and what answers them
    Show { name: String },
    /// Switch an API's endpoint type on live traffic; the change survives restarts and wins over the file
    SetEndpoint {
        name: String,
        #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
        endpoint_type: TypeArgument,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum TypeArgument {
    Regional,
    Edge,
    Private,
}

impl Api {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::List => list(global),
            Self::Show { name } => show(global, name),
            Self::SetEndpoint { name, endpoint_type, how } => {
                let endpoint_type = match endpoint_type {
                    TypeArgument::Regional => EndpointType::Regional,
                    TypeArgument::Edge => EndpointType::Edge,
                    TypeArgument::Private => EndpointType::Private,
                };
                let path = format!("/apis/{}/endpoint", segment(name, "an API", "gateway api list")?);
                let ask = |shown: Option<&Plan>| {
                    let (plan, generation) = (shown.is_none(), shown.map(|plan| plan.generation));
                    let confirm_s = how.confirm_s();
                    let request = EndpointRequest { endpoint_type, plan, generation, confirm_s };
                    client::post_change(global, &path, &request, plan)
                };
                apply::change(global, how, ask)
            }
        }
    }
}

pub(crate) fn table(apis: &[ApiStatus]) -> String {
    let mut rows = vec![row(["API", "ID", "STAGE", "TYPE", "STATE", "LISTENERS", "OUTSIDERS KEPT AWAY BY"])];
    for api in apis {
        let mut endpoint_type = api.endpoint_type.map_or("-", type_name).to_string();
        if api.switched {
            endpoint_type.push('*');
        }
        let by = api.enforced_by.as_deref().unwrap_or("-");
        let listeners = output::join(&api.listeners);
        rows.push(row([&api.name, &api.id, &api.stage, &endpoint_type, &api.state, &listeners, by]));
    }
    let mut text = output::table(&rows);
    if apis.iter().any(|api| api.switched) {
        text.push_str("* chosen by set-endpoint, wins over the file\n");
    }
    text
}

fn list(global: &Global) -> Result<End, Problem> {
    let apis: Vec<ApiStatus> = client::get(global, "/apis")?;
    if global.json {
        output::json(&apis)?;
    } else {
        output::print(&table(&apis));
    }
    Ok(End::Done)
}

fn show(global: &Global, name: &str) -> Result<End, Problem> {
    let detail: ApiDetail =
        client::get(global, &format!("/apis/{}", segment(name, "an API", "gateway api list")?))?;
    if global.json {
        output::json(&detail)?;
        return Ok(End::Done);
    }
    let mut text = table(std::slice::from_ref(&detail.api));
    text.push_str(&format!("file   {}\n", detail.api.file.display()));
    for url in &detail.urls {
        text.push_str(&format!("url    {url}\n"));
    }
    if !detail.routes.is_empty() {
        let mut rows = vec![row(["METHOD", "RESOURCE", "INTEGRATION"])];
        rows.extend(detail.routes.iter().map(|r| row([&r.method, &r.path, &r.integration])));
        text.push_str(&format!("\n{}", output::table(&rows)));
    }
    if !detail.api.diagnostics.is_empty() {
        text.push_str(&format!("\n{}", output::findings(&detail.api.diagnostics)));
    }
    output::print(&text);
    Ok(End::Done)
}
