//! Model + node → Snapshot.

mod api;
mod authorizer;
mod body;
mod cache;
mod domain;
mod part;
mod plans;
mod served;
mod targets;
mod throttle;

pub use part::Part;

use super::{ApiEntry, Document, Listener, Loaded, Remembered, Xdp};
use crate::cache::Store;
use crate::guard::endpoint::CidrSet;
use crate::guard::meters::Meters;
use crate::guard::offence::Thresholds;
use crate::guard::origin::Front;
use crate::guard::plan::Plans;
use crate::model::{Diagnostic, EndpointType, Place, Release, RestApi, Severity, SourceLimits};
use crate::route::{ApiDoor, Table};
use crate::snapshot::{self, ApiIndex, Snapshot};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use part::MadeFrom;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use targets::Targets;

const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

/// Loaded + remembered → Snapshot. `generation` numbers it. APIs that are Err in `loaded` are left out here: whether
/// that is allowed (first start) or not (apply) is the caller's decision. Err: nothing compiled; each error names its
/// file, so that a caller may set that API to Err and compile the others.
pub fn compile(
    loaded: &Loaded,
    remembered: &Remembered,
    generation: u64,
) -> Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>> {
    let Compiled { snapshot, warnings, .. } = compile_after(loaded, remembered, generation, None)?;
    Ok((snapshot, warnings))
}

/// What a compilation takes over from the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Before<'b> {
    pub parts: &'b [Part],
    pub plans: &'b Plans,
    /// Of the process: each stage that keeps its cluster's size keeps what it has cached.
    pub cache: &'b Store,
}

/// What `compile_after` gives.
#[derive(Debug)]
pub struct Compiled {
    pub snapshot: Snapshot,
    pub warnings: Vec<Diagnostic>,
    /// For the next time.
    pub parts: Vec<Part>,
}

/// As `compile`, but takes over what stays as it was `before`: APIs of which nothing changed that they are compiled
/// from, and backends with the same host and port, with the addresses that they resolved to.
pub fn compile_after(
    loaded: &Loaded,
    remembered: &Remembered,
    generation: u64,
    before: Option<Before<'_>>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let document = &loaded.document;
    let targets =
        Targets::known(before.iter().flat_map(|before| before.parts).flat_map(|part| &part.api.targets));
    let new = || Store::new(document.node.cache_megabytes << 20);
    let cache = before.map_or_else(new, |before| before.cache.clone());
    let meters = loaded.meters.clone();
    let mut compiler = Compiler {
        document,
        findings: Vec::new(),
        targets,
        cache,
        meters,
        lenient: false,
        about: String::new(),
    };
    let known = before.iter().flat_map(|before| before.parts);
    let known: HashMap<&str, &Part> = known.map(|part| (part.name(), part)).collect();
    let mut parts: Vec<Part> = Vec::new();
    let mut apis = Vec::new();
    let mut doors = Vec::new();
    let mut index_of = HashMap::new();
    for (entry, api) in document.apis.iter().zip(&loaded.apis) {
        let Ok(api) = api else { continue };
        let Some(id) = compiler.id_of(entry, remembered) else { continue };
        let made_from =
            MadeFrom::new(document, entry, api, id, endpoint_type(entry, api, remembered), &loaded.meters);
        let part = match known.get(entry.name.as_str()).filter(|part| part.made_from == made_from) {
            Some(part) => (*part).clone(),
            None => compiler.part(made_from),
        };
        compiler.findings.extend_from_slice(&part.findings);
        doors.push(door(&part));
        index_of.insert(entry.name.as_str(), apis.len());
        apis.push(part.api.clone());
        parts.push(part);
    }
    let listeners: Vec<_> = document
        .listeners
        .iter()
        .map(|listener| compiler.listener(listener, remembered, &index_of, &apis))
        .collect();
    compiler.check_names();
    compiler.check_drawn_ids(remembered);
    compiler.check_reachable(&listeners, &apis, &parts);
    compiler.check_shared(&listeners, &apis, &parts);
    compiler.check_limits(&listeners);
    let plans = compiler.plans(loaded, before.map(|before| before.plans), &index_of, &apis);
    let routes = Table::new(doors, &listeners, &compiler.only_apis(&listeners, &apis, &parts));
    let (routes, domain_policies) = compiler.with_domains(routes);
    let warnings = warnings(compiler.findings, loaded)?;
    let vpc = |vpc: &super::Vpc| snapshot::Vpc { id: vpc.id.clone(), cidrs: CidrSet::new(&vpc.cidrs) };
    let snapshot = Snapshot {
        generation,
        region: document.node.region.clone(),
        account: document.node.account.clone(),
        listeners,
        vpcs: document.vpcs.iter().map(vpc).collect(),
        trusted: trusted(&document.xdp),
        offences: offences(document),
        targets: targets::of_all(&apis),
        canaries: canaries(&apis),
        plans,
        apis,
        routes,
        domain_policies,
        cache: compiler.cache,
    };
    Ok(Compiled { snapshot, warnings, parts })
}

fn door(part: &Part) -> ApiDoor {
    let api = &part.api;
    ApiDoor {
        id: api.id.clone(),
        stage: api.stage.clone(),
        hosts: api.hosts.clone(),
        default_endpoint: api.default_endpoint,
        tree: part.tree.clone(),
        hidden: api.release.is_canary() == Some(true),
    }
}

/// Each canary stands behind its stage.
fn canaries(apis: &[Arc<snapshot::Api>]) -> Vec<snapshot::Canary> {
    let canary = |(index, api): (usize, &Arc<snapshot::Api>)| {
        let Release::Canary { share, .. } = api.release else { return None };
        let is_its_stage = |other: &Arc<snapshot::Api>| other.id == api.id && other.stage == api.stage;
        let stage = apis[..index].iter().rposition(is_its_stage)?;
        Some(snapshot::Canary { stage, canary: index, share })
    };
    apis.iter().enumerate().filter_map(canary).collect()
}

/// Err: the errors among them.
fn warnings(findings: Vec<Diagnostic>, loaded: &Loaded) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let (errors, mut warnings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity == Severity::Error);
    // The document's reader has often said it already, of the same line.
    warnings.retain(|found| {
        let same = |known: &Diagnostic| known.file == found.file && known.place.line == found.place.line;
        found.place.line == 0 || !loaded.warnings.iter().any(same)
    });
    if errors.is_empty() { Ok(warnings) } else { Err(errors) }
}

/// Switched > the file's > AWS's default.
fn endpoint_type(entry: &ApiEntry, api: &RestApi, remembered: &Remembered) -> EndpointType {
    let switched = remembered.endpoint_types.get(&entry.name).copied();
    switched.or(api.endpoint_type).unwrap_or(EndpointType::Edge)
}

/// Chosen live > the file's.
fn limits(listener: &Listener, remembered: &Remembered) -> SourceLimits {
    let choices = remembered.limits.get(&listener.name).copied().unwrap_or_default();
    choices.over(listener.limits)
}

fn dry_run(listener: &Listener, remembered: &Remembered) -> bool {
    remembered.dry_runs.get(&listener.name).copied().unwrap_or(listener.dry_run)
}

fn trusted(xdp: &Xdp) -> Vec<IpNet> {
    LOOPBACK.into_iter().filter(|_| xdp.trust_loopback).chain(xdp.trusted.iter().copied()).collect()
}

fn offences(document: &Document) -> Option<Thresholds> {
    let (bans, xdp) = (&document.bans, &document.xdp);
    let thresholds = Thresholds { rates: bans.rates, source_v4: xdp.source_v4, source_v6: xdp.source_v6 };
    bans.automatic.then_some(thresholds)
}

struct Compiler<'a> {
    document: &'a Document,
    findings: Vec<Diagnostic>,
    targets: Targets,
    cache: Store,
    meters: Meters,
    /// A stored API is compiled: what cannot be served of it is left out, and is no error of the whole.
    lenient: bool,
    /// The part of the API that is compiled, for findings that have no place in a file.
    about: String,
}

impl Compiler<'_> {
    /// What follows is about this part of the API.
    fn about(&mut self, part: std::fmt::Arguments<'_>) {
        use std::fmt::Write as _;
        self.about.clear();
        let _ = self.about.write_fmt(part);
    }

    fn find(&mut self, severity: Severity, file: &Path, place: Place, what: String, instead: &str) {
        let (file, instead) = (file.to_owned(), instead.to_owned());
        let what = match place.line {
            0 if !self.about.is_empty() => format!("{}: {what}", self.about),
            _ => what,
        };
        let severity = if self.lenient { Severity::Warning } else { severity };
        self.findings.push(Diagnostic::new(severity, file, place, what, instead));
    }

    /// An error of gateway.toml.
    fn error(&mut self, place: Place, what: String, instead: &str) {
        let file = &self.document.file;
        self.find(Severity::Error, file, place, what, instead);
    }

    /// Fixed > remembered. Control draws the missing ones before it compiles.
    fn id_of(&mut self, entry: &ApiEntry, remembered: &Remembered) -> Option<String> {
        let id = entry.id.as_ref().or_else(|| remembered.ids.get(&entry.name)).cloned();
        if id.is_none() {
            let what = format!("the API `{}` has no id, and none was drawn for it", entry.name);
            self.error(entry.place, what, "write id = \"a1b2c3d4e5\"");
        }
        id
    }

    fn listener(
        &mut self,
        listener: &Listener,
        remembered: &Remembered,
        index_of: &HashMap<&str, ApiIndex>,
        apis: &[Arc<snapshot::Api>],
    ) -> snapshot::Listener {
        let vpc = listener.vpc.as_ref().and_then(|name| {
            let found = self.document.vpcs.iter().position(|vpc| vpc.id == *name);
            if found.is_none() {
                self.error(
                    listener.place,
                    format!("there is no VPC `{name}`"),
                    "write a [[vpc]] with that id",
                );
            }
            found
        });
        let dedicated = listener.apis.as_ref().map(|names| {
            let mut indices = Vec::new();
            for name in names {
                match index_of.get(name.as_str()) {
                    Some(index) => indices.push(*index),
                    // One that did not load is known all the same.
                    None if self.document.apis.iter().any(|entry| entry.name == *name) => {}
                    None => {
                        let instead = "write an [[api]] with that name";
                        self.error(listener.place, format!("there is no API `{name}`"), instead);
                    }
                }
            }
            indices
        });
        let private = |index: &ApiIndex| apis[*index].endpoint_type == EndpointType::Private;
        let all_private = dedicated.as_ref().is_none_or(|apis| apis.iter().all(private));
        if listener.vpc.is_none()
            && let Some(api) = dedicated.iter().flatten().find(|index| private(index))
        {
            let what = format!(
                "the listener `{}` belongs to no VPC, so nobody could reach `{}` through it, which is PRIVATE",
                listener.name, apis[*api].name
            );
            self.error(listener.place, what, "write vpc = \"...\" in this [[listener]]");
        }
        snapshot::Listener {
            name: listener.name.clone(),
            address: listener.address,
            vpc,
            kernel_private: vpc.is_some() && all_private,
            limits: limits(listener, remembered),
            dry_run: dry_run(listener, remembered),
            front: Front {
                trusted_proxies: CidrSet::new(&listener.trusted_proxies),
                proxy_protocol: listener.proxy_protocol,
            },
            apis: dedicated,
        }
    }

    /// Two APIs with one id and stage, or one host: only one of them would ever answer.
    fn check_names(&mut self) {
        let mut stages = HashMap::new();
        let mut hosts = HashMap::new();
        for entry in self.document.apis.iter().filter(|entry| entry.owner.is_none()) {
            if let Some(id) = &entry.id
                && let Some(other) = stages.insert((id, &entry.stage), &entry.name)
            {
                let what = format!("`{}` has the id and the stage of `{other}`", entry.name);
                self.error(entry.place, what, "give one of them another id or stage");
            }
            for host in &entry.hosts {
                if let Some(other) = hosts.insert(host.to_ascii_lowercase(), &entry.name) {
                    let what = format!("the host `{host}` of `{}` belongs to `{other}`", entry.name);
                    self.error(entry.place, what, "give each host to one API");
                }
            }
        }
    }

    /// An id that was drawn for one API and stands for another too: a host with it would mean either.
    fn check_drawn_ids(&mut self, remembered: &Remembered) {
        let document = self.document;
        let mut owners: HashMap<&str, &ApiEntry> = HashMap::new();
        let fixed = document.apis.iter().filter_map(|entry| Some((entry, entry.id.as_ref()?)));
        owners.extend(fixed.map(|(entry, id)| (id.as_str(), entry)));
        for entry in document.apis.iter().filter(|entry| entry.id.is_none()) {
            let Some(id) = remembered.ids.get(&entry.name) else { continue };
            let Some(other) = owners.insert(id, entry) else { continue };
            // The line to mend is the one that names the id, if one does.
            let place = if other.id.is_some() { other.place } else { entry.place };
            let what = format!("`{}` has the id `{id}`, which was drawn for `{}`", other.name, entry.name);
            self.error(place, what, "give one of them another id = \"...\"");
        }
    }
}

#[cfg(test)]
mod tests;
