//! Host and first path segments → API and stage: AWS's URLs, an API's own hosts, and the forms for local work.

use super::domain::{self, Domain, Domains, Host, Meaning};
use super::literal::{Names, number};
use super::{Asked, Packed, Reached};
use crate::refusal::Refusal;
use crate::snapshot::{ApiIndex, Listener, ListenerIndex};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Hosts, ids, base paths and resource trees of all APIs, compiled.
#[derive(Debug, Default)]
pub struct Table {
    /// api id → its place in `apis_of`
    ids: Names,
    apis_of: Vec<Stages>,
    /// own host, lower case → API
    hosts: Names,
    domains: Domains,
    stages: Vec<String>,
    trees: Vec<Arc<Packed>>,
    doors: Vec<Door>,
}

/// The stages of one API.
#[derive(Debug, Default)]
struct Stages {
    apis: Vec<ApiIndex>,
    /// Does its id mean it, in hosts and paths?
    default_endpoint: bool,
}

/// What a listener knows of APIs.
#[derive(Debug)]
struct Door {
    vpc: bool,
    apis: Option<Vec<ApiIndex>>,
    /// The stages of the one API that `/{stage}/...` means here, whatever the host.
    only: Option<Vec<ApiIndex>>,
    /// The private domain names that are reached through it.
    domains: Domains,
}

/// An API as the table sees it; its place in the list is its ApiIndex.
#[derive(Debug)]
pub struct ApiDoor {
    pub id: String,
    pub stage: String,
    /// Without port; compared in lower case.
    pub hosts: Vec<String>,
    /// False: only its hosts and domain names mean it, its id does not.
    pub default_endpoint: bool,
    pub tree: Arc<Packed>,
    /// No id, stage or host leads to it: a canary, which answers in its stage's place.
    pub hidden: bool,
}

/// A host label is at most this long (RFC 1035); longer ones name no API.
const LABEL_MAX: usize = 63;

const NO_API: Refusal = Refusal::Forbidden("no such API here");
const NO_MAPPING: Refusal = Refusal::Forbidden("no base path of this domain name");
const NO_STAGE: Refusal = Refusal::Forbidden("no such stage");

impl Table {
    /// `only`: per listener the one API that any host means there, if there is one.
    pub fn new(apis: Vec<ApiDoor>, listeners: &[Listener], only: &[Option<ApiIndex>]) -> Self {
        let mut ids: BTreeMap<&str, Stages> = BTreeMap::new();
        let mut hosts = Vec::new();
        for (index, api) in apis.iter().enumerate().filter(|(_, api)| !api.hidden) {
            let stages = ids.entry(&api.id).or_default();
            stages.apis.push(index);
            stages.default_endpoint = api.default_endpoint;
            hosts.extend(api.hosts.iter().map(|host| (host.to_ascii_lowercase(), number(index))));
        }
        let mut table = Self {
            ids: Names::new(ids.keys().zip(0..).map(|(id, at)| (*id, at))),
            apis_of: ids.into_values().collect(),
            hosts: Names::new(hosts.iter().map(|(host, index)| (host.as_str(), *index))),
            ..Self::default()
        };
        let all_stages = |index: usize| {
            let api = only.get(index).copied().flatten().and_then(|only| apis.get(only))?;
            table.by_id(&api.id).map(<[_]>::to_vec)
        };
        let doors = listeners.iter().enumerate().map(|(index, listener)| Door {
            vpc: listener.vpc.is_some(),
            apis: listener.apis.clone(),
            only: all_stages(index),
            domains: Domains::default(),
        });
        table.doors = doors.collect();
        for api in apis {
            table.stages.push(api.stage);
            table.trees.push(api.tree);
        }
        table
    }

    /// A private one is reached through its listeners alone; elsewhere its host means nothing else.
    #[must_use]
    pub fn with_domains(mut self, domains: &[Domain<'_>]) -> Self {
        let of_door = |door: ListenerIndex| {
            let here = |domain: &&Domain<'_>| {
                domain.private.as_ref().is_some_and(|private| private.listeners.contains(&door))
            };
            Domains::new(domains.iter().filter(here).cloned(), |meaning| self.stages_of(meaning))
        };
        let private: Vec<Domains> = (0..self.doors.len()).map(of_door).collect();
        let (closed, public): (Vec<_>, Vec<_>) = domains.iter().partition(|domain| domain.private.is_some());
        let closed = closed.into_iter().map(|domain| Domain { base_paths: Vec::new(), ..domain.clone() });
        // Of one name that is there twice, the last one counts.
        let everywhere =
            Domains::new(closed.chain(public.into_iter().cloned()), |meaning| self.stages_of(meaning));
        for (door, domains) in self.doors.iter_mut().zip(private) {
            door.domains = domains;
        }
        self.domains = everywhere;
        self
    }

    fn stages_of(&self, meaning: &Meaning<'_>) -> Vec<ApiIndex> {
        let of_api = self.ids.get(meaning.api).and_then(|at| self.apis_of.get(at));
        let is = |api: &ApiIndex| {
            meaning.stage.is_none_or(|stage| self.stages.get(*api).is_some_and(|name| name == stage))
        };
        of_api.map_or(&[][..], |stages| &stages.apis).iter().copied().filter(is).collect()
    }

    /// Where domain names mean the API: `host`, `host/base/path`, with its stage where that is in the path.
    pub fn domains_of(&self, api: ApiIndex) -> Vec<String> {
        let stage = self.stages.get(api).map_or("", String::as_str);
        let private = self.doors.iter().flat_map(|door| door.domains.of(api, stage));
        let mut all: Vec<String> = self.domains.of(api, stage).into_iter().chain(private).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn tree(&self, api: ApiIndex) -> Option<&Packed> {
        self.trees.get(api).map(|tree| &**tree)
    }

    /// The APIs with that id, one a stage.
    fn by_id(&self, id: &str) -> Option<&[ApiIndex]> {
        let stages = self.ids.get(id).and_then(|at| self.apis_of.get(at));
        stages.filter(|stages| stages.default_endpoint).map(|stages| stages.apis.as_slice())
    }

    /// Err: `Refusal::Forbidden` (no such API or stage on this listener).
    pub fn reach(&self, asked: &Asked<'_>) -> Result<Reached, Refusal> {
        let door = self.doors.get(asked.listener).ok_or(NO_API)?;
        let reached = self.resolve(door, asked)?;
        match &door.apis {
            Some(apis) if !apis.contains(&reached.api) => Err(NO_API),
            _ => Ok(reached),
        }
    }

    fn resolve(&self, door: &Door, asked: &Asked<'_>) -> Result<Reached, Refusal> {
        let path = asked.path;
        if !path.starts_with('/') {
            return Err(NO_API); // `OPTIONS *` asks the server, no API: not even `{proxy+}` owns it
        }
        let endpoint = execute_api_label(asked.host);
        if let Some(stages) = endpoint.and_then(|label| self.by_label(label)) {
            return self.stage_of(stages, path, 0);
        }
        if let Some(api) = self.hosts.get(asked.host) {
            return Ok(Reached { api, path: collapse(path, 0), policy: None });
        }
        if let Some(host) = self.domain(door, asked.host) {
            return self.by_base_path(host, path);
        }
        if let Some(id) = asked.api_id.filter(|_| door.vpc) {
            return self.stage_of(self.by_id(id).ok_or(NO_API)?, path, 0);
        }
        if let Some((id, after)) = local_form(path, "restapis") {
            let reached = self.stage_of(self.by_id(id).ok_or(NO_API)?, path, after)?;
            return match first_segment(path, reached.path.start) {
                Some(mark) if &path[mark.clone()] == "_user_request_" => {
                    Ok(Reached { path: collapse(path, mark.end), ..reached })
                }
                _ => Err(NO_STAGE),
            };
        }
        if let Some((id, after)) = local_form(path, "_aws/execute-api") {
            return self.stage_of(self.by_id(id).ok_or(NO_API)?, path, after);
        }
        // A host of AWS's form names its API itself: another one must not answer in its place.
        let only = door.only.as_ref().filter(|_| endpoint.is_none()).ok_or(NO_API)?;
        self.stage_of(only, path, 0)
    }

    /// The more exact name goes first; of two alike, the one that is private to the door. A private name of other doors
    /// stands in `domains`, too, and means nothing: it hides public names that are less exact, and none of the door's.
    fn domain<'t>(&'t self, door: &'t Door, host: &str) -> Option<&'t Host> {
        // Each private domain name has its entry in `domains`.
        if self.domains.is_empty() {
            return None;
        }
        let elsewhere = self.domains.exact(host);
        let (hidden, public) = match elsewhere {
            Some(elsewhere) if elsewhere.policy.is_some() => (Some(elsewhere), None),
            public => (None, public),
        };
        let own = || door.domains.exact(host).or(public).or_else(|| door.domains.wildcard(host));
        own().or(hidden).or_else(|| self.domains.wildcard(host))
    }

    /// `{api-id}` or `{api-id}-{vpce}`; ids may hold dashes, so the longest one wins.
    fn by_label(&self, label: &str) -> Option<&[ApiIndex]> {
        if label.len() > LABEL_MAX {
            return None;
        }
        let shorter = label.rmatch_indices('-').map(|(dash, _)| &label[..dash]);
        std::iter::once(label).chain(shorter).find_map(|id| self.by_id(id))
    }

    fn by_base_path(&self, host: &Host, path: &str) -> Result<Reached, Refusal> {
        let from = collapse(path, 0).start;
        let (base, after) = domain::longest(&host.base_paths, path, from).ok_or(NO_MAPPING)?;
        let policy = host.policy;
        if base.staged {
            return self.stage_of(&base.stages, path, after).map(|reached| Reached { policy, ..reached });
        }
        let api = base.stages.first().ok_or(NO_STAGE)?;
        Ok(Reached { api: *api, path: collapse(path, after), policy })
    }

    /// The first segment behind `from` is the stage.
    fn stage_of(&self, candidates: &[ApiIndex], path: &str, from: usize) -> Result<Reached, Refusal> {
        let stage = first_segment(path, from).ok_or(NO_STAGE)?;
        let named = |api: &&ApiIndex| self.stages.get(**api).is_some_and(|name| *name == path[stage.clone()]);
        let api = candidates.iter().find(named).ok_or(NO_STAGE)?;
        Ok(Reached { api: *api, path: collapse(path, stage.end), policy: None })
    }
}

/// The first label of `{label}.execute-api` and `{label}.execute-api.<anything>`.
fn execute_api_label(host: &str) -> Option<&str> {
    let (label, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix("execute-api")?;
    (rest.is_empty() || rest.starts_with('.')).then_some(label)
}

/// `/{prefix}/{api-id}/...`: the id, and where the path goes on.
fn local_form<'p>(path: &'p str, prefix: &str) -> Option<(&'p str, usize)> {
    let rest = path.strip_prefix('/')?.strip_prefix(prefix)?;
    let from = path.len() - rest.len();
    if !rest.starts_with('/') {
        return None;
    }
    let id = first_segment(path, from)?;
    Some((&path[id.clone()], id.end))
}

/// The segment behind a run of slashes at `from`: AWS takes `//stage/x` as `/stage/x`.
fn first_segment(path: &str, from: usize) -> Option<Range<usize>> {
    let rest = path.get(from..)?;
    let start = from + (rest.len() - rest.trim_start_matches('/').len());
    let end = path[start..].find('/').map_or(path.len(), |slash| start + slash);
    (start < end).then_some(start..end)
}

/// What the resource tree sees: a run of slashes at `from` counts as one, as AWS does with `/stage//x`.
fn collapse(path: &str, from: usize) -> Range<usize> {
    let rest = path.get(from..).unwrap_or_default();
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    from + slashes.saturating_sub(1)..path.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;
    use crate::model::SourceLimits;

    #[test]
    fn the_asterisk_form_reaches_no_api() {
        let mut tree = super::super::Tree::default();
        assert!(tree.insert("/{proxy+}", "ANY", 0).is_ok());
        let door = ApiDoor {
            id: "a".into(),
            stage: "prod".into(),
            hosts: vec!["h".into()],
            default_endpoint: true,
            tree: Arc::new(tree.pack()),
            hidden: false,
        };
        let listener = Listener {
            name: "l".into(),
            address: ([127, 0, 0, 1], 80).into(),
            vpc: None,
            apis: None,
            kernel_private: false,
            limits: SourceLimits::NONE,
            dry_run: false,
            front: Default::default(),
        };
        let table = Table::new(vec![door], &[listener], &[Some(0)]);
        let asked = |path| Asked { listener: 0, host: "h", path, method: Method::Options, api_id: None };
        assert!(table.reach(&asked("/*")).is_ok());
        assert_eq!(table.reach(&asked("*")), Err(NO_API));
    }
}
