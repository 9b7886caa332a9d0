//! The backends of all APIs, each host and port once.

use crate::snapshot;
use crate::upstream::Target;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Targets {
    all: HashMap<(String, u16), Arc<Target>>,
    /// Of the API that is being compiled.
    list: Vec<Arc<Target>>,
    authorities: BTreeSet<Arc<str>>,
}

impl Targets {
    pub(super) fn known<'t>(targets: impl Iterator<Item = &'t Arc<Target>>) -> Self {
        let all = targets.map(|target| ((target.host.clone(), target.port), target.clone())).collect();
        Self { all, ..Self::default() }
    }

    /// Its place among the API's, and the one copy of how the API writes it.
    pub(super) fn index_of(&mut self, host: &str, port: u16, authority: &str) -> (usize, Arc<str>) {
        let fresh = || Arc::new(Target::new(host.to_owned(), port));
        let target = self.all.entry((host.to_owned(), port)).or_insert_with(fresh);
        let found = self.list.iter().position(|known| Arc::ptr_eq(known, target));
        let index = found.unwrap_or_else(|| {
            self.list.push(target.clone());
            self.list.len() - 1
        });
        let authority = self.authorities.get(authority).cloned().unwrap_or_else(|| authority.into());
        self.authorities.insert(authority.clone());
        (index, authority)
    }

    /// The API is compiled.
    pub(super) fn take(&mut self) -> Vec<Arc<Target>> {
        self.authorities.clear();
        std::mem::take(&mut self.list)
    }
}

pub(super) fn of_all(apis: &[Arc<snapshot::Api>]) -> Vec<Arc<Target>> {
    let mut seen = BTreeSet::new();
    let targets = apis.iter().flat_map(|api| &api.targets);
    targets.filter(|target| seen.insert(Arc::as_ptr(target))).cloned().collect()
}
