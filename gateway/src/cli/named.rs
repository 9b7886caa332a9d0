//! How commands name an API and a stage of it: by name or id, `API.STAGE` or `API STAGE`; and the operations of the AWS
//! API on what was named.

use super::operation::encoded;
use super::{Global, client};
use crate::control::types::{Kind, Named, OperationAnswer, OperationRequest, Problem, ResolveRequest, Wants};
use serde_json::Value;
use std::fmt::Write as _;

/// AWS's own limit of a page.
const PAGE: usize = 500;
/// As many as any collection may hold.
const PAGES_MAX: usize = 40;

/// Where the API is, if its name does not tell.
#[derive(clap::Args)]
pub(crate) struct Region {
    /// Only APIs of this region [default: all; of several of one name, that of AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

/// A whole API.
#[derive(clap::Args)]
pub(crate) struct ApiArgument {
    /// Name or id of the API: of an [[api]] in gateway.toml, or of one made through the AWS API
    #[arg(value_name = "API")]
    api: String,
    #[command(flatten)]
    region: Region,
}

/// A stage.
#[derive(clap::Args)]
pub(crate) struct StageArgument {
    /// Name or id of the API, or API.STAGE
    #[arg(value_name = "API")]
    api: String,
    /// Its stage, where the API is named without one [default: the only one that it has]
    stage: Option<String>,
    #[command(flatten)]
    region: Region,
}

/// What was named, and the way to its objects.
pub(crate) struct Objects<'g> {
    global: &'g Global,
    pub(crate) named: Named,
}

impl ApiArgument {
    pub(crate) fn find<'g>(&self, global: &'g Global) -> Result<Objects<'g>, Problem> {
        find(global, &self.region, (&self.api, None), Wants::Api)
    }

    /// Also where a stage is named.
    pub(crate) fn find_either<'g>(&self, global: &'g Global) -> Result<Objects<'g>, Problem> {
        find(global, &self.region, (&self.api, None), Wants::Either)
    }
}

impl StageArgument {
    pub(crate) fn find<'g>(&self, global: &'g Global) -> Result<Objects<'g>, Problem> {
        find(global, &self.region, (&self.api, self.stage.as_ref()), Wants::Stage)
    }

    /// The stage need not be there yet.
    pub(crate) fn find_or_new<'g>(&self, global: &'g Global) -> Result<Objects<'g>, Problem> {
        find(global, &self.region, (&self.api, self.stage.as_ref()), Wants::NewStage)
    }
}

fn find<'g>(
    global: &'g Global,
    region: &Region,
    (name, stage): (&str, Option<&String>),
    wants: Wants,
) -> Result<Objects<'g>, Problem> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let request = ResolveRequest {
        name: name.into(),
        stage: stage.cloned(),
        wants,
        region: region.region.clone(),
        home_region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
    };
    Ok(Objects { global, named: client::post(global, "/resolve", &request)? })
}

impl<'g> Objects<'g> {
    #[cfg(test)]
    pub(crate) fn of_name(global: &'g Global, name: &str, stage: &str) -> Self {
        let (name, stage) = (name.into(), Some(stage.into()));
        let (id, region) = ("1d".into(), "us-east-1".into());
        Self { global, named: Named { name, id, region, stage, ..Named::default() } }
    }

    /// `pets (a1b2c3d4e5)`
    pub(crate) fn shown(&self) -> String {
        format!("{} ({})", self.named.name, self.named.id)
    }

    /// `pets.prod (a1b2c3d4e5)`
    pub(crate) fn stage_shown(&self) -> String {
        format!("{}.{} ({})", self.named.name, self.stage(), self.named.id)
    }

    pub(crate) fn stage(&self) -> &str {
        self.named.stage.as_deref().unwrap_or_default()
    }

    /// The segment of the operator's API that means it alone.
    pub(crate) fn key(&self) -> String {
        let Named { id, name, stage, .. } = &self.named;
        // An API of a file that was never loaded has no id yet.
        let whose = if id.is_empty() { name } else { id };
        encoded(&stage.as_ref().map_or(whose.clone(), |stage| format!("{whose}.{stage}")))
    }

    /// `/restapis/{id}` and what stands behind it.
    pub(crate) fn path(&self, behind: &str) -> String {
        format!("/restapis/{}{behind}", encoded(&self.named.id))
    }

    pub(crate) fn stage_path(&self) -> String {
        self.path(&format!("/stages/{}", encoded(self.stage())))
    }

    /// Err: a file manages it, and there it is changed. `instead`: how.
    pub(crate) fn may_change(&self, instead: &str) -> Result<(), Problem> {
        let Some(file) = &self.named.file else { return Ok(()) };
        let what = format!("API {} is managed by the file {}", self.shown(), file.display());
        Err(Problem::new(Kind::Conflict, what, instead))
    }

    /// An operation of the AWS API; what is not plain in `path` is encoded.
    pub(crate) fn call(&self, method: &str, path: &str, body: Value) -> Result<Value, Problem> {
        self.change(method, path, body).map(|answer| answer.body)
    }

    /// As `call`, with what is to be said of the API as it serves now.
    pub(crate) fn change(&self, method: &str, path: &str, body: Value) -> Result<OperationAnswer, Problem> {
        let region = Some(self.named.region.clone());
        let request = OperationRequest { method: method.into(), path: path.into(), region, body };
        client::post(self.global, "/operation", &request)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Problem> {
        self.call("GET", path, Value::Null)
    }

    /// All items of a collection.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::new();
        let mut position: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{mark}limit={PAGE}");
            if let Some(position) = &position {
                let _ = write!(page, "&position={}", encoded(position));
            }
            let mut answer = self.get(&page)?;
            if let Some(Value::Array(more)) = answer.get_mut("item").map(Value::take) {
                items.extend(more);
            }
            position = answer.get("position").and_then(Value::as_str).map(str::to_owned);
            if position.is_none() {
                return Ok(items);
            }
        }
        Ok(items)
    }
}
