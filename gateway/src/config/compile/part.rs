//! One API, compiled, with all that it was compiled from: as long as that stays, so does what came of it.

use super::Compiler;
use crate::config::{ApiEntry, Document, Owner};
use crate::guard::meters::Meters;
use crate::model::{Diagnostic, EndpointType, RestApi, Throttle};
use crate::route::Packed;
use crate::snapshot;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Part {
    pub(super) made_from: Arc<MadeFrom>,
    pub(super) api: Arc<snapshot::Api>,
    pub(super) tree: Arc<Packed>,
    pub(super) findings: Vec<Diagnostic>,
}

impl Part {
    pub(super) fn name(&self) -> &str {
        &self.made_from.entry.name
    }

    pub(super) fn is_stored(&self) -> bool {
        self.made_from.entry.owner.is_some()
    }

    /// As findings name it: of a file's API its name, of a stored one what its own findings stand under.
    pub(super) fn shown(&self) -> String {
        match self.is_stored() {
            true => self.made_from.model.file.display().to_string(),
            false => format!("`{}`", self.name()),
        }
    }
}

/// Everything that `Compiler::part` looks at.
#[derive(Debug)]
pub(super) struct MadeFrom {
    pub(super) model: Arc<RestApi>,
    /// With its places: where findings of its settings stand.
    pub(super) entry: ApiEntry,
    pub(super) id: String,
    pub(super) endpoint_type: EndpointType,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) cache_megabytes: u64,
    pub(super) account_throttle: Option<Throttle>,
    pub(super) meters: Meters,
}

impl MadeFrom {
    pub(super) fn new(
        document: &Document,
        entry: &ApiEntry,
        model: &Arc<RestApi>,
        id: String,
        endpoint_type: EndpointType,
        meters: &Meters,
    ) -> Arc<Self> {
        let nodes = || Owner { account: document.node.account.clone(), region: document.node.region.clone() };
        let owner = entry.owner.clone().unwrap_or_else(nodes);
        Arc::new(Self {
            model: model.clone(),
            entry: entry.clone(),
            id,
            endpoint_type,
            region: owner.region,
            account: owner.account,
            cache_megabytes: document.node.cache_megabytes,
            account_throttle: document.node.account_throttle(entry.owner.is_some()),
            meters: meters.clone(),
        })
    }
}

impl PartialEq for MadeFrom {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            model,
            entry,
            id,
            endpoint_type,
            region,
            account,
            cache_megabytes,
            account_throttle,
            meters,
        } = self;
        Arc::ptr_eq(model, &other.model)
            && *entry == other.entry
            && *id == other.id
            && *endpoint_type == other.endpoint_type
            && *region == other.region
            && *account == other.account
            && *cache_megabytes == other.cache_megabytes
            && *account_throttle == other.account_throttle
            && *meters == other.meters
    }
}

impl Compiler<'_> {
    pub(super) fn part(&mut self, made_from: Arc<MadeFrom>) -> Part {
        let others = std::mem::take(&mut self.findings);
        self.lenient = made_from.entry.owner.is_some();
        let (api, tree) = self.api(&made_from);
        self.lenient = false;
        let findings = std::mem::replace(&mut self.findings, others);
        Part { made_from, api: Arc::new(api), tree: Arc::new(tree.pack()), findings }
    }
}
