//! What runs, in the operator's words: listeners, APIs, who enforces what, and what is out of step with the files.

use super::candidate::Running;
use super::named;
use super::node::{Node, io_name};
use super::types::{
    ApiDetail, ApiStatus, Finding, Kind, ListenerStatus, Problem, ResolveRequest, RouteStatus, Status, Wants,
    WorkerStatus, findings,
};
use crate::config::{self, ApiEntry};
use crate::guard::endpoint;
use crate::http::Method;
use crate::integrate::Integration;
use crate::model::{Diagnostic, EndpointType, RestApi, SourceLimits};
use crate::observe;
use crate::route::Asked;
use crate::snapshot::{Api, ApiIndex, Listener, Snapshot};
use crate::worker::Handle;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

pub(super) fn status(node: &Node) -> Status {
    let running = node.running();
    let kernel = node.kernel.borrow();
    let apis = apis(&running, kernel.enforces());
    let refused = node.refused();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        uptime_s: SystemTime::now().duration_since(node.started).map_or(0, |up| up.as_secs()),
        config: node.config.clone(),
        generation: running.snapshot.generation,
        io: io_name(node.io).into(),
        in_step: refused.is_none() && apis.iter().all(|api| api.state == "serving"),
        refused,
        workers: node
            .workers
            .iter()
            .enumerate()
            .map(|(number, worker)| worker_status(number, worker))
            .collect(),
        listeners: listeners(&running.snapshot, kernel.enforces()),
        apis,
        xdp: kernel.summary(),
        warnings: [running.warnings.clone(), node.unguarded()].concat(),
        waits: node.confirm.shown(),
    }
}

/// As `status`, and whether the files still say what was read of them.
pub(super) async fn with_edits(node: &Node) -> Status {
    let mut status = status(node);
    // A reload that was refused has said it already.
    if status.refused.is_none() {
        let (config, running) = (node.config.clone(), node.running());
        let edits = tokio::task::spawn_blocking(move || edits(&config, &running)).await.unwrap_or_default();
        status.in_step &= edits.is_empty();
        status.warnings.extend(edits);
    }
    status
}

/// The files that say something else than what runs was made of.
fn edits(config: &Path, running: &Running) -> Vec<Finding> {
    let before = &running.loaded;
    let files: Vec<&Path> = match config::load_after(config, Some(before)) {
        Ok(now) if now.digest() == running.files => return Vec::new(),
        Ok(now) => {
            let apis = before.document.apis.iter().filter(|entry| entry.owner.is_none());
            let apis = apis.map(|entry| &*entry.file).collect::<BTreeSet<_>>().into_iter();
            let edited = apis.filter(|file| now.sources.text(file) != before.sources.text(file));
            let node = (now.said_of_the_node() != before.said_of_the_node()).then_some(config);
            node.into_iter().chain(edited).collect()
        }
        Err(_) => vec![config],
    };
    let finding = |file: &Path| {
        let changed = std::fs::metadata(file).and_then(|file| file.modified());
        let at = changed.map_or(String::new(), |time| format!(" at {}", observe::rfc3339(time)));
        Finding {
            severity: "warning".into(),
            file: file.to_owned(),
            line: 0,
            column: 0,
            what: format!("was changed{at}, and what it said before runs"),
            instead: "`gateway apply` shows what changes, and applies it".into(),
        }
    };
    files.into_iter().map(finding).collect()
}

/// In the order of the configuration; those with errors stand as "failed".
pub(super) fn apis(running: &Running, xdp: bool) -> Vec<ApiStatus> {
    let compiled: HashMap<&str, ApiIndex> =
        running.snapshot.apis.iter().enumerate().map(|(index, api)| (api.name.as_str(), index)).collect();
    let entries = running.loaded.document.apis.iter().zip(&running.loaded.apis);
    entries
        .map(|(entry, model)| {
            api_status(running, compiled.get(entry.name.as_str()).copied(), (entry, model), xdp)
        })
        .collect()
}

/// With those of the store that have no stage yet: nothing of them is served.
pub(super) fn all_apis(node: &Node) -> Result<Vec<ApiStatus>, Problem> {
    let mut all = apis(&node.running(), node.kernel.borrow().enforces());
    let without = named::known(node)?.into_iter().filter(|api| api.stages.is_empty());
    all.extend(without.map(|api| ApiStatus {
        name: api.id.clone(),
        api_name: api.name,
        managed_by: api.managed_by,
        id: api.id,
        stage: String::new(),
        hosts: Vec::new(),
        file: PathBuf::new(),
        state: "not deployed".into(),
        endpoint_type: None,
        switched: false,
        enforced_by: None,
        listeners: Vec::new(),
        methods: 0,
        diagnostics: Vec::new(),
    }));
    Ok(all)
}

pub(super) fn api(node: &Node, name: &str) -> Result<ApiDetail, Problem> {
    let named = named::resolve(node, &ResolveRequest::of(name, Wants::Stage))?;
    let running = node.running();
    let name = named::entry(&running, &named);
    let apis = apis(&running, node.kernel.borrow().enforces());
    let api = apis.into_iter().find(|api| Some(&api.name) == name.as_ref()).ok_or_else(|| {
        let stage = named.stage.as_deref().unwrap_or_default();
        let what = format!("stage {stage} of {} is not served", named::shown(&named));
        Problem::new(Kind::Conflict, what, "the gateway's log says why")
    })?;
    let snapshot = &running.snapshot;
    let compiled = snapshot.apis.iter().position(|found| found.name == api.name);
    Ok(ApiDetail {
        urls: compiled.map(|index| urls(snapshot, index, Lasting::AndMore)).unwrap_or_default(),
        routes: compiled.map(|index| routes(snapshot, index)).unwrap_or_default(),
        api,
    })
}

/// Does the listener serve the API, whoever asks?
pub(super) fn serves(listener: &Listener, index: ApiIndex, api: &Api) -> bool {
    let mine = listener.apis.as_ref().is_none_or(|apis| apis.contains(&index));
    mine && endpoint::serves(listener.vpc.is_some(), listener.apis.is_some(), api.endpoint_type)
}

/// Would the listener serve a stage of that type, if it is one of these?
pub fn would_serve(listener: &ListenerStatus, stages: &[String], endpoint_type: EndpointType) -> bool {
    let named = |apis: &Vec<String>| apis.iter().any(|api| stages.contains(api));
    let mine = listener.apis.as_ref().is_none_or(named);
    mine && endpoint::serves(listener.vpc.is_some(), listener.apis.is_some(), endpoint_type)
}

pub(super) fn serving(snapshot: &Snapshot, api: ApiIndex) -> impl Iterator<Item = &Listener> {
    snapshot.listeners.iter().filter(move |listener| serves(listener, api, &snapshot.apis[api]))
}

/// The kernel's rule for a listener: "pass", "private vpc-main", "pass; packets 2000/s, burst 4000; dry run".
pub(super) fn kernel_rule(snapshot: &Snapshot, listener: &Listener) -> String {
    let mut rule = match (listener.kernel_private, listener.vpc) {
        (true, Some(vpc)) => format!("private {}", snapshot.vpcs[vpc].id),
        (true, None) => "private, no VPC".into(),
        (false, _) => "pass".into(),
    };
    if listener.limits != SourceLimits::NONE {
        rule.push_str(&format!("; {}", listener.limits));
    }
    if listener.dry_run {
        rule.push_str("; dry run");
    }
    rule
}

pub(super) fn integration(api: &Api, integration: &Integration) -> String {
    let (kind, backend) = match integration {
        Integration::HttpProxy(backend) => ("HTTP_PROXY", backend),
        Integration::Http(backend) => ("HTTP", backend),
        Integration::Mock(_) => return "MOCK".into(),
        Integration::Unsupported(what) => return format!("answers 500: {what}"),
    };
    let timeout = backend.timeout().as_millis();
    match api.targets.get(backend.target) {
        Some(target) => format!("{kind} {}:{}, {timeout} ms", target.host, target.port),
        None => format!("{kind}, {timeout} ms"),
    }
}

pub(super) fn worker_status(number: usize, worker: &Handle) -> WorkerStatus {
    let counters = &worker.counters;
    WorkerStatus {
        number,
        alive: !worker.thread.is_finished(),
        connections_accepted: counters.connections_accepted.load(Relaxed),
        connections_open: counters.connections_open.load(Relaxed),
        connections_refused: counters.connections_refused.load(Relaxed),
        offenders_lost: counters.offenders_lost.load(Relaxed),
        connections_banned: counters.connections_banned.load(Relaxed),
        requests: counters.requests.load(Relaxed),
        refused: counters.refused.load(Relaxed),
        cache_hits: counters.cache_hits.load(Relaxed),
        cache_misses: counters.cache_misses.load(Relaxed),
        upstream_connects: counters.upstream_connects.load(Relaxed),
        upstream_reuses: counters.upstream_reuses.load(Relaxed),
        upstream_retries: counters.upstream_retries.load(Relaxed),
        upstream_failures: counters.upstream_failures.load(Relaxed),
    }
}

fn listeners(snapshot: &Snapshot, xdp: bool) -> Vec<ListenerStatus> {
    let names = |indices: &[ApiIndex]| indices.iter().map(|api| snapshot.apis[*api].name.clone()).collect();
    let listeners = snapshot.listeners.iter();
    let served = |listener: &Listener| {
        let apis = snapshot.apis.iter().enumerate();
        apis.filter(|(index, api)| serves(listener, *index, api)).map(|(_, api)| api.name.clone()).collect()
    };
    listeners
        .map(|listener| ListenerStatus {
            name: listener.name.clone(),
            address: listener.address,
            vpc: listener.vpc.map(|vpc| snapshot.vpcs[vpc].id.clone()),
            apis: listener.apis.as_deref().map(names),
            serves: served(listener),
            kernel: if xdp { kernel_rule(snapshot, listener) } else { "off".into() },
        })
        .collect()
}

fn api_status(
    running: &Running,
    compiled: Option<ApiIndex>,
    (entry, model): (&ApiEntry, &Result<Arc<RestApi>, Vec<Diagnostic>>),
    xdp: bool,
) -> ApiStatus {
    let (snapshot, remembered) = (&running.snapshot, &running.remembered);
    let (model, failed) = match model {
        Ok(model) => (Some(model), Vec::new()),
        Err(diagnostics) => (None, findings(diagnostics)),
    };
    let api = compiled.map(|index| &snapshot.apis[index]);
    let listeners: Vec<&Listener> =
        compiled.map(|index| serving(snapshot, index).collect()).unwrap_or_default();
    let remembered_id = remembered.ids.get(&entry.name).cloned();
    ApiStatus {
        name: entry.name.clone(),
        api_name: model.filter(|_| entry.owner.is_some()).map_or(&entry.name, |model| &model.name).clone(),
        managed_by: if entry.owner.is_some() { "aws" } else { "file" }.into(),
        id: api.map(|api| api.id.clone()).or_else(|| entry.id.clone()).or(remembered_id).unwrap_or_default(),
        stage: entry.stage.clone(),
        hosts: entry.hosts.clone(),
        file: entry.file.clone(),
        state: if api.is_some() { "serving" } else { "failed" }.into(),
        endpoint_type: api.map(|api| api.endpoint_type),
        switched: remembered.endpoint_types.contains_key(&entry.name),
        enforced_by: api.and_then(|api| enforced_by(api, &listeners, xdp)),
        listeners: listeners.iter().map(|listener| listener.name.clone()).collect(),
        methods: api.map_or(0, |api| api.methods.len()),
        diagnostics: failed,
    }
}

/// The workers enforce always; XDP where every API of the listener is private, but for a dry run.
fn enforced_by(api: &Api, listeners: &[&Listener], xdp: bool) -> Option<String> {
    if api.endpoint_type != EndpointType::Private || listeners.is_empty() {
        return None;
    }
    let in_kernel = listeners.iter().filter(|listener| xdp && listener.kernel_drops()).count();
    let by = match in_kernel {
        0 => "worker",
        n if n == listeners.len() => "xdp",
        _ => "xdp and worker",
    };
    Some(by.into())
}

/// Which URLs?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// Those that mean the API as long as it and its listeners stay what they are.
    Only,
    /// Also those that end when another API is made, and host names that a client has to complete.
    AndMore,
}

/// What clients of a stage may be given for good, without a slash at the end: its own hosts and domain names first.
pub(super) fn invoke_urls(running: &Running, api: &str, stage: &str) -> Vec<String> {
    let snapshot = &running.snapshot;
    let mut apis = snapshot.apis.iter();
    let found =
        apis.position(|own| own.id == api && own.stage == stage && own.release.is_canary() != Some(true));
    let all = found.map(|index| urls(snapshot, index, Lasting::Only)).unwrap_or_default();
    let (of_address, own): (Vec<String>, _) =
        all.into_iter().partition(|url| url.ends_with("/_user_request_/"));
    let plain = own.into_iter().filter(|url| !url.contains("://*."));
    plain.chain(of_address).map(|url| url.trim_end_matches('/').to_owned()).collect()
}

fn urls(snapshot: &Snapshot, index: ApiIndex, lasting: Lasting) -> Vec<String> {
    let api = &snapshot.apis[index];
    let mut urls = Vec::new();
    for listener in serving(snapshot, index) {
        let port = listener.address.port();
        urls.extend(api.hosts.iter().map(|host| format!("http://{host}:{port}/")));
        urls.extend(snapshot.routes.domains_of(index).iter().map(|at| {
            let (host, path) = at.split_once('/').unwrap_or((at, ""));
            format!("http://{host}:{port}/{path}{}", if path.is_empty() { "" } else { "/" })
        }));
        let address = local(listener.address);
        if !api.default_endpoint {
            continue;
        }
        if lasting == Lasting::AndMore {
            urls.push(format!("http://{}.execute-api.<anything>:{port}/{}/", api.id, api.stage));
            if reached_by_any_host(snapshot, listener, index) {
                urls.push(format!("http://{address}/{}/", api.stage));
            }
        }
        urls.push(format!("http://{address}/restapis/{}/{}/_user_request_/", api.id, api.stage));
    }
    urls
}

/// As this host reaches it.
pub(super) fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(local);
    }
    address
}

/// Asks the routes themselves: does any host mean this API there?
pub(super) fn reached_by_any_host(snapshot: &Snapshot, listener: &Listener, api: ApiIndex) -> bool {
    let at = snapshot.listeners.iter().position(|other| other.name == listener.name);
    at.is_some_and(|listener| {
        let path = format!("/{}/", snapshot.apis[api].stage);
        let (host, path) = ("any.invalid", path.as_str());
        let asked = Asked { listener, host, path, method: Method::Get, api_id: None };
        snapshot.routes.reach(&asked).is_ok_and(|reached| reached.api == api)
    })
}

fn routes(snapshot: &Snapshot, index: ApiIndex) -> Vec<RouteStatus> {
    let api = &snapshot.apis[index];
    let methods = api.methods.iter();
    methods
        .map(|method| RouteStatus {
            method: method.http_method.clone(),
            path: method.resource_path.clone(),
            integration: integration(api, &method.integration),
        })
        .collect()
}
