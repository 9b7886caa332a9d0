//! The node's own file (`gateway.toml`), and model + node → Snapshot.

mod check;
mod compile;
mod digest;
mod document;
mod load;
mod read;
mod source;
#[cfg(test)]
mod tests;
mod toml;

pub use check::{check, check_stored};
pub use compile::{Before, Compiled, Part, compile, compile_after};
pub use document::{
    ApiEntry, ApiKey, Bans, BasePath, Control, Document, Domain, Listener, MethodThrottles, Node, Owner,
    Private, UsagePlan, Vpc, Xdp, XdpMode,
};
pub use load::{load, load_after};
pub use source::Sources;

use crate::guard::meters::Meters;
use crate::model::{Diagnostic, EndpointType, LimitChoices, RestApi, UsagePlans};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The document with its APIs read. An API whose file has errors stands as Err: the others are not its hostages.
#[derive(Debug)]
pub struct Loaded {
    pub document: Document,
    pub apis: Vec<Result<Arc<RestApi>, Vec<Diagnostic>>>,
    pub warnings: Vec<Diagnostic>,
    /// For the next time that they are read.
    pub sources: Sources,
    /// The file's and the stored ones.
    pub plans: Arc<UsagePlans>,
    /// The process's; whoever only looks has some of its own.
    pub meters: Meters,
}

/// A stage of an API that was made through the AWS API.
#[derive(Clone, Debug)]
pub struct StoredApi {
    /// With its `owner`; its name is `{api id}.{stage}`.
    pub entry: ApiEntry,
    pub api: Arc<RestApi>,
}

/// All that is served of what was made through the AWS API.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub apis: Vec<StoredApi>,
    pub domains: Vec<Domain>,
    pub plans: Arc<UsagePlans>,
    /// The process's.
    pub meters: Meters,
}

impl Loaded {
    /// Without what was made through the AWS API.
    pub fn of(
        document: Document,
        apis: Vec<Result<Arc<RestApi>, Vec<Diagnostic>>>,
        warnings: Vec<Diagnostic>,
        sources: Sources,
    ) -> Self {
        Self { document, apis, warnings, sources, plans: Arc::default(), meters: Meters::default() }
    }

    /// The files' APIs with these stored ones, whatever stored ones there were. The files go first: an id that one of
    /// them has is not given to a stored API.
    pub fn with_stored(&self, stored: &Stored) -> Self {
        let mut document = Document { apis: Vec::new(), domains: Vec::new(), ..self.document.clone() };
        let mut apis = Vec::new();
        for (entry, api) in self.document.apis.iter().zip(&self.apis).filter(|(e, _)| e.owner.is_none()) {
            document.apis.push(entry.clone());
            apis.push(api.clone());
        }
        let taken: Vec<Option<String>> = document.apis.iter().map(|entry| entry.id.clone()).collect();
        let free = |api: &&StoredApi| !taken.contains(&api.entry.id);
        for StoredApi { entry, api } in stored.apis.iter().filter(free) {
            document.apis.push(entry.clone());
            apis.push(Ok(Arc::clone(api)));
        }
        document.domains.clone_from(&stored.domains);
        Self {
            document,
            apis,
            warnings: self.warnings.clone(),
            sources: self.sources.clone(),
            plans: stored.plans.clone(),
            meters: stored.meters.clone(),
        }
    }
}

/// What the node remembers between runs (kept by control, by `[[api]]` name).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Remembered {
    /// Ids drawn for APIs that fix none.
    pub ids: BTreeMap<String, String>,
    /// Endpoint types switched by `set-endpoint`; they win over the file's.
    pub endpoint_types: BTreeMap<String, EndpointType>,
    /// By `[[listener]]` name: limits that were set live; they win over the file's.
    #[serde(default)]
    pub limits: BTreeMap<String, LimitChoices>,
    /// By `[[listener]]` name: dry runs that were turned on or off live; they win over the file's.
    #[serde(default)]
    pub dry_runs: BTreeMap<String, bool>,
}
