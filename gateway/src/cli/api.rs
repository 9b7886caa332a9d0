//! `gateway api`

use super::apply::{self, How};
use super::named::{ApiArgument, Objects, StageArgument};
use super::operation::field;
use super::output::{self, row};
use super::{End, Global, client, confirm};
use crate::control::types::{
    ApiDetail, ApiStatus, Changed, EndpointRequest, PendingChange, Plan, Problem, Status,
};
use crate::control::{type_name, would_serve};
use crate::model::EndpointType;
use clap::ValueEnum;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(crate) enum Api {
    /// All APIs, their types and who serves them
    List,
    /// A stage of an API: addresses to try, its methods and what answers them
    Show {
        #[command(flatten)]
        stage: StageArgument,
    },
    /// Switch an API's endpoint type on live traffic; it survives restarts, and wins over an [[api]]'s file
    SetEndpoint {
        #[command(flatten)]
        api: ApiArgument,
        /// Who may reach it: everybody (REGIONAL, EDGE), or the VPC of a listener alone (PRIVATE)
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
            Self::Show { stage } => show(global, &stage.find(global)?),
            Self::SetEndpoint { api, endpoint_type, how } => {
                let endpoint_type = match endpoint_type {
                    TypeArgument::Regional => EndpointType::Regional,
                    TypeArgument::Edge => EndpointType::Edge,
                    TypeArgument::Private => EndpointType::Private,
                };
                let api = api.find_either(global)?;
                if api.named.managed_by == "aws" {
                    return set_stored(global, &api, endpoint_type, how);
                }
                let path = format!("/apis/{}/endpoint", api.key());
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

/// Of an API that was made through the AWS API its type is one of its properties there: all stages have it.
fn set_stored(global: &Global, api: &Objects<'_>, wanted: EndpointType, how: &How) -> Result<End, Problem> {
    let path = format!("/apis/{}/endpoint", api.key());
    let ask = |plan: bool| -> Result<Changed, Problem> {
        let confirm_s = how.confirm_s();
        let request = EndpointRequest { endpoint_type: wanted, plan, generation: None, confirm_s };
        client::post_change(global, &path, &request, plan)
    };
    let mut warnings = unreachable(global, api, wanted)?;
    warnings.extend(ask(true)?.plan.warnings);
    let wanted = type_name(wanted);
    let before = field(&api.get(&api.path(""))?, "/endpointConfiguration/types/0");
    let stages = api.named.stages.len();
    let told = |verb: &str, done: bool, waits: Option<&PendingChange>| {
        if global.json {
            let told = json!({
                "id": api.named.id, "from": before, "to": wanted, "done": done, "warnings": warnings,
                "waits": waits,
            });
            return output::json(&told);
        }
        let of = output::count(stages, "stage");
        output::print(&format!("{} {verb}: {before} → {wanted}, for {of}\n", api.shown()));
        Ok(())
    };
    if before == wanted {
        if !global.json {
            output::print(&format!("nothing to do: {} is {wanted}\n", api.shown()));
            return Ok(End::Done);
        }
        return told("stays", false, None).map(|()| End::Done);
    }
    if !global.json {
        let lines = warnings.iter().map(|warning| format!("warning: {warning}\n"));
        output::say(&lines.collect::<String>());
    }
    if how.plan {
        return told("would change its endpoint type", false, None).map(|()| End::Done);
    }
    if !how.yes {
        output::say(&format!("{} would change its endpoint type: {before} → {wanted}\n", api.shown()));
        if let Some(end) = output::unless_confirmed("Do it?", global.json) {
            return Ok(end);
        }
    }
    let done = ask(false)?;
    told("changed its endpoint type", true, done.waits.as_ref())?;
    match done.waits.filter(|_| !global.json) {
        Some(waits) => confirm::wait(global, &waits),
        None => Ok(End::Done),
    }
}

/// That no listener would serve a stage of the API, if that was its type.
fn unreachable(global: &Global, api: &Objects<'_>, wanted: EndpointType) -> Result<Vec<String>, Problem> {
    let status: Status = client::get(global, "/status")?;
    let stages = &api.named.stages;
    let served = |stage: &&String| {
        let name = [format!("{}.{stage}", api.named.id)];
        status.listeners.iter().any(|listener| would_serve(listener, &name, wanted))
    };
    let (instead, private) = match wanted {
        EndpointType::Private => ("with a `vpc`", "PRIVATE"),
        _ => ("without `vpc` and `apis`", "public"),
    };
    let nobody = |stage: &String| {
        format!(
            "no listener serves {}.{stage} when it is {private}: nobody will reach it; write a [[listener]] {instead} \
             in gateway.toml first",
            api.named.name
        )
    };
    Ok(stages.iter().filter(|stage| !served(stage)).map(nobody).collect())
}

pub(crate) fn table(apis: &[ApiStatus]) -> String {
    let mut rows = vec![row([
        "API",
        "ID",
        "STAGE",
        "TYPE",
        "STATE",
        "LISTENERS",
        "OUTSIDERS KEPT AWAY BY",
        "MANAGED BY",
    ])];
    for api in apis {
        let mut endpoint_type = api.endpoint_type.map_or("-", type_name).to_string();
        if api.switched {
            endpoint_type.push('*');
        }
        let by = api.enforced_by.as_deref().unwrap_or("-");
        let listeners = output::join(&api.listeners);
        let managed_by = if api.managed_by == "aws" { "AWS API" } else { "file" };
        // A canary stands beside its stage.
        let canary = if api.name.ends_with("/canary") { "/canary" } else { "" };
        let stage = format!("{}{canary}", api.stage);
        let (name, id) = (&api.api_name, &api.id);
        let stage = if stage.is_empty() { "-".into() } else { stage };
        rows.push(row([name, id, &stage, &endpoint_type, &api.state, &listeners, by, managed_by]));
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

fn show(global: &Global, api: &Objects<'_>) -> Result<End, Problem> {
    let detail: ApiDetail = client::get(global, &format!("/apis/{}", api.key()))?;
    if global.json {
        output::json(&detail)?;
        return Ok(End::Done);
    }
    let mut text = table(std::slice::from_ref(&detail.api));
    text.push_str(&match &api.named.file {
        Some(file) => format!("file   {}\n", file.display()),
        None => format!("region {}, account {}\n", api.named.region, api.named.account),
    });
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
