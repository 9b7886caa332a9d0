//! What a change will do, before it does it.

mod limits;

use super::candidate::{Candidate, Running, model, on_off, type_name};
use super::kernel::Kernel;
use super::named::StageNames;
use super::node::Node;
use super::short;
use super::status::{kernel_rule, serves, serving};
use super::types::{Change, Finding, KernelChange, Plan};
use crate::config::{self, Document, Remembered};
use crate::guard::endpoint;
use crate::guard::offence::Offence;
use crate::model::{EndpointType, SourceLimits, duration_text};
use crate::snapshot::{Api, Listener, Snapshot};
use crate::worker::OpenConnection;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// `open`: the client connections of now.
pub(super) fn plan(node: &Node, next: &Candidate, open: &[OpenConnection]) -> Plan {
    let (running, kernel) = (&*node.running(), &*node.kernel.borrow());
    let (old, new) = (&*running.snapshot, &next.snapshot);
    let mut changes = identity(&running.loaded.document, &next.loaded.document);
    changes.extend(bans(&running.loaded.document.bans, &next.loaded.document.bans));
    changes.extend(vpcs(old, new));
    changes.extend(trusted(old, new));
    let names = &StageNames::of([&*running.loaded, &*next.loaded]);
    changes.extend(listeners(old, new, names));
    changes.extend(chosen_live(running, next));
    changes.extend(apis(running, next, names));
    changes.extend(limits::limits(&running.loaded.document, &next.loaded.document));
    let open = || open.iter().map(|open| (open.listener, open.peer.ip()));
    let mut warnings = privacy(old, new, kernel, names);
    warnings.extend(short::lost(old, new, names).iter().map(told));
    warnings.extend(limits_without_xdp(old, new, kernel));
    warnings.extend(restart(&node.started_with.document, &next.loaded.document));
    let files = next.files.clone();
    let same = files == running.files && next.remembered == running.remembered;
    Plan {
        generation: old.generation,
        files,
        // After a way back that failed, even the same again is something to do.
        differs: !same || node.astray.get(),
        changes,
        kernel: if kernel.is_on() { kernel_changes(old, new) } else { Vec::new() },
        connections_to_close: closing(old, new, open()),
        sources_over_burst: over_burst((old, new), &node.started_with.document.xdp, open()),
        warnings,
    }
}

/// Connections that the new snapshot does not allow on their listener.
fn closing(old: &Snapshot, new: &Snapshot, open: impl Iterator<Item = (usize, IpAddr)>) -> usize {
    open.filter(|(listener, peer)| {
        let Some(name) = old.listeners.get(*listener).map(|l| &l.name) else { return false };
        let stays = new.listeners.iter().position(|l| l.name == *name);
        stays.is_some_and(|listener| !endpoint::admit_connection(new, listener, *peer))
    })
    .count()
}

/// Sources that have more connections open to a listener than its limit, where that changes, allows at once.
fn over_burst(
    (old, new): (&Snapshot, &Snapshot),
    xdp: &config::Xdp,
    open: impl Iterator<Item = (usize, IpAddr)>,
) -> usize {
    // By the running listener's index: the burst that comes.
    let bursts: Vec<Option<u32>> = old
        .listeners
        .iter()
        .map(|before| {
            let after = new.listeners.iter().find(|after| after.name == before.name)?;
            let limit = after.limits.connections.filter(|_| after.limits != before.limits)?;
            Some(limit.burst)
        })
        .collect();
    let mut counts: BTreeMap<(usize, Option<IpNet>), u32> = BTreeMap::new();
    for (listener, peer) in open.filter(|(listener, _)| bursts.get(*listener).is_some_and(Option::is_some)) {
        let peer = peer.to_canonical();
        let bits = if peer.is_ipv4() { xdp.source_v4 } else { xdp.source_v6 };
        let source = IpNet::new(peer, bits).ok().map(|source| source.trunc());
        *counts.entry((listener, source)).or_default() += 1;
    }
    let over =
        |(listener, _): &(usize, Option<IpNet>), count: u32| bursts[*listener].is_some_and(|b| count > b);
    counts.iter().filter(|(key, count)| over(key, **count)).count()
}

fn change(kind: &str, name: &str, what: String) -> Change {
    Change { subject: format!("{kind} {name}"), what }
}

/// What ARNs are made of, and with them which requests a policy means.
fn identity(old: &Document, new: &Document) -> Vec<Change> {
    let keys =
        [("region", &old.node.region, &new.node.region), ("account", &old.node.account, &new.node.account)];
    let changed = keys.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(key, before, after)| change("node", key, format!("{before} → {after}"))).collect()
}

/// What gets a source banned by itself.
fn bans(old: &config::Bans, new: &config::Bans) -> Option<Change> {
    let said = |bans: &config::Bans| {
        if !bans.automatic {
            return "off".to_string();
        }
        let rate = |offence: Offence| {
            let rate = bans.rates[offence as usize].map_or("off".to_string(), |rate| rate.to_string());
            format!("{} {rate}", offence.name())
        };
        format!("{}, for {}", Offence::ALL.map(rate).join(", "), duration_text(bans.length))
    };
    let (before, after) = (said(old), said(new));
    (before != after).then(|| change("bans", "automatic", format!("{before} → {after}")))
}

/// Whom no limit and no ban keeps away.
fn trusted(old: &Snapshot, new: &Snapshot) -> Option<Change> {
    let list = |cidrs: &[IpNet]| if cidrs.is_empty() { "nobody".into() } else { join(cidrs) };
    let what = || format!("{} → {}", list(&old.trusted), list(&new.trusted));
    (old.trusted != new.trusted).then(|| change("xdp", "trusted", what()))
}

fn vpcs(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    for vpc in &new.vpcs {
        match old.vpcs.iter().find(|before| before.id == vpc.id) {
            None => changes.push(change("vpc", &vpc.id, format!("added: {}", join(vpc.cidrs.cidrs())))),
            Some(before) if before.cidrs.cidrs() != vpc.cidrs.cidrs() => {
                let what = format!("{} → {}", join(before.cidrs.cidrs()), join(vpc.cidrs.cidrs()));
                changes.push(change("vpc", &vpc.id, what));
            }
            Some(_) => {}
        }
    }
    let gone = old.vpcs.iter().filter(|vpc| new.vpcs.iter().all(|after| after.id != vpc.id));
    changes.extend(gone.map(|vpc| change("vpc", &vpc.id, "removed".into())));
    changes
}

fn listeners(old: &Snapshot, new: &Snapshot, stages: &StageNames) -> Vec<Change> {
    let names = |served: &[&str]| names(&served.iter().map(|name| stages.stage(name)).collect::<Vec<_>>());
    let mut changes = Vec::new();
    for listener in &new.listeners {
        let mut push = |what| changes.push(change("listener", &listener.name, what));
        let Some(before) = old.listeners.iter().find(|before| before.name == listener.name) else {
            push(format!("added: {}, serves {}", listener.address, names(&served(new, listener))));
            continue;
        };
        if before.address != listener.address {
            push(format!("{} → {}", before.address, listener.address));
        }
        let (vpc_before, vpc) = (vpc_of(old, before), vpc_of(new, listener));
        if vpc_before != vpc {
            push(format!("vpc {vpc_before} → {vpc}"));
        }
        if before.limits != listener.limits {
            push(format!("limits {} → {}", before.limits, listener.limits));
        }
        if before.dry_run != listener.dry_run {
            push(format!("dry run {} → {}", on_off(before.dry_run), on_off(listener.dry_run)));
        }
        if before.front.trusted_proxies.cidrs() != listener.front.trusted_proxies.cidrs() {
            let ranges = listener.front.trusted_proxies.cidrs().len();
            push(format!("trusted proxies change: {ranges} ranges"));
        }
        if before.front.proxy_protocol != listener.front.proxy_protocol {
            let (before, after) = (before.front.proxy_protocol, listener.front.proxy_protocol);
            push(format!("PROXY protocol {} → {}", on_off(before), on_off(after)));
        }
        let (before, after) = (served(old, before), served(new, listener));
        if before != after {
            push(format!("serves {} → {}", names(&before), names(&after)));
        }
    }
    let gone = old.listeners.iter().filter(|l| new.listeners.iter().all(|after| after.name != l.name));
    changes.extend(gone.map(|l| change("listener", &l.name, format!("removed: {} closes", l.address))));
    changes
}

/// Where a live choice begins or ends to win over the file.
fn chosen_live(running: &Running, next: &Candidate) -> Vec<Change> {
    let mut changes = Vec::new();
    for listener in &next.snapshot.listeners {
        let name = &listener.name;
        let mut push = |what: String| changes.push(change("listener", name, what));
        for (command, chosen) in [
            ("xdp limit set", (|r, n| r.limits.contains_key(n)) as fn(&Remembered, &String) -> bool),
            ("xdp dry-run", |r, n| r.dry_runs.contains_key(n)),
        ] {
            match (chosen(&running.remembered, name), chosen(&next.remembered, name)) {
                (true, false) => push(format!("follows its file again, `{command}` is forgotten")),
                (false, true) => push(format!("`{command}` wins over its file from now on")),
                _ => {}
            }
        }
    }
    changes
}

/// Only the kernel enforces limits.
fn limits_without_xdp(old: &Snapshot, new: &Snapshot, kernel: &Kernel) -> Option<String> {
    let why = kernel.off()?;
    let comes = |listener: &&Listener| {
        let before = old.listeners.iter().find(|before| before.name == listener.name);
        let before = before.map_or(SourceLimits::NONE, |before| before.limits);
        listener.limits != SourceLimits::NONE && listener.limits != before
    };
    let listener = new.listeners.iter().find(comes)?;
    Some(format!("nobody enforces the limits of listener {}: XDP is off, {why}", listener.name))
}

fn apis(running: &Running, next: &Candidate, names: &StageNames) -> Vec<Change> {
    let (old, new) = (&running.snapshot, &next.snapshot);
    let (befores, afters) = (by_name(old), by_name(new));
    let mut changes = Vec::new();
    for api in &new.apis {
        let mut push = |what| changes.push(change("api", names.stage(&api.name), what));
        let Some(before) = befores.get(api.name.as_str()) else {
            push(format!("added: {}, id {}, stage {}", type_name(api.endpoint_type), api.id, api.stage));
            continue;
        };
        differences(before, api).into_iter().for_each(&mut push);
        let switched = |remembered: &Remembered| remembered.endpoint_types.contains_key(&api.name);
        match (switched(&running.remembered), switched(&next.remembered)) {
            (true, false) => push("follows its file again, `set-endpoint` is forgotten".into()),
            (false, true) => push("`set-endpoint` wins over its file from now on".into()),
            _ => {}
        }
        // One and the same: compiled from the same document.
        if !Arc::ptr_eq(before, api) {
            documents(running, next, (before, api)).into_iter().for_each(&mut push);
        }
    }
    let gone = old.apis.iter().filter(|api| !afters.contains_key(api.name.as_str()));
    changes.extend(gone.map(|api| change("api", names.stage(&api.name), "removed".into())));
    changes
}

fn by_name(snapshot: &Snapshot) -> HashMap<&str, &Arc<Api>> {
    snapshot.apis.iter().map(|api| (api.name.as_str(), api)).collect()
}

/// What changed in the document that an API is made of.
fn documents(running: &Running, next: &Candidate, (before, api): (&Api, &Api)) -> Vec<String> {
    let mut changes = Vec::new();
    let documents = (model(&running.loaded, &api.name), model(&next.loaded, &api.name));
    let policy = |api: Option<&crate::model::RestApi>| {
        api.and_then(|api| api.policy.as_ref()).map(|(policy, _)| policy.clone())
    };
    match (policy(documents.0), policy(documents.1)) {
        (before, after) if before == after => {}
        (None, Some(_)) => changes.push("resource policy added".into()),
        (Some(_), None) => changes.push("resource policy removed".into()),
        (_, _) => changes.push("resource policy changed".into()),
    }
    if documents.0 != documents.1 || before.stage_variables != api.stage_variables {
        changes.push(format!("document or stage variables changed, {} methods", api.methods.len()));
    }
    changes
}

fn differences(before: &Api, after: &Api) -> Vec<String> {
    let mut differences = Vec::new();
    if before.endpoint_type != after.endpoint_type {
        let (before, after) = (type_name(before.endpoint_type), type_name(after.endpoint_type));
        differences.push(format!("endpoint type {before} → {after}"));
    }
    for (what, before, after) in [("id", &before.id, &after.id), ("stage", &before.stage, &after.stage)] {
        if before != after {
            differences.push(format!("{what} {before} → {after}"));
        }
    }
    if before.default_endpoint != after.default_endpoint {
        let means =
            if after.default_endpoint { "its id means it again" } else { "its id means it no longer" };
        differences.push(format!("disableExecuteApiEndpoint: {means}"));
    }
    if before.hosts != after.hosts {
        differences.push(format!("hosts [{}] → [{}]", before.hosts.join(", "), after.hosts.join(", ")));
    }
    differences
}

/// By address, as the kernel knows them.
fn kernel_changes(old: &Snapshot, new: &Snapshot) -> Vec<KernelChange> {
    let at = |snapshot: &Snapshot, address: SocketAddr| {
        let listener = snapshot.listeners.iter().find(|listener| listener.address == address);
        listener.map_or("none".into(), |listener| kernel_rule(snapshot, listener))
    };
    let mut seen = BTreeSet::new();
    let all = new.listeners.iter().chain(&old.listeners).filter(|listener| seen.insert(listener.address));
    all.map(|listener| KernelChange {
        listener: listener.name.clone(),
        address: listener.address,
        before: at(old, listener.address),
        after: at(new, listener.address),
    })
    .filter(|change| change.before != change.after)
    .collect()
}

/// Of the APIs that are new or whose type changes: who is kept away, and by whom.
fn privacy(old: &Snapshot, new: &Snapshot, kernel: &Kernel, names: &StageNames) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, api) in new.apis.iter().enumerate() {
        let before = old.apis.iter().find(|before| before.name == api.name);
        if before.is_some_and(|before| before.endpoint_type == api.endpoint_type) {
            continue;
        }
        let name = names.stage(&api.name);
        let serving: Vec<&Listener> = serving(new, index).collect();
        let private = api.endpoint_type == EndpointType::Private;
        if serving.is_empty() {
            let needs = if private { "with a vpc" } else { "without a vpc, or dedicated to it," };
            warnings.push(format!("no listener {needs} serves {name}: nobody will reach it"));
            continue;
        }
        if !private {
            continue;
        }
        if let Some(why) = kernel.off() {
            warnings.push(format!("the workers alone keep outsiders away from {name}: XDP is off, {why}"));
        }
        for listener in serving.iter().filter(|listener| listener.kernel_private && listener.dry_run) {
            let name = &listener.name;
            warnings.push(format!(
                "listener {name} is in a dry run: XDP only counts, the workers keep outsiders away from {}; \
                 `gateway xdp dry-run off {name}` enforces",
                names.stage(&api.name)
            ));
        }
        for listener in serving.iter().filter(|listener| !listener.kernel_private) {
            warnings.push(format!(
                "listener {} also serves APIs that are not private: there the workers keep outsiders away from \
                 {name}, not XDP",
                listener.name
            ));
        }
    }
    warnings
}

pub(super) fn told(finding: &Finding) -> String {
    format!("{}; {}", finding.told(), finding.instead)
}

/// What a running gateway cannot change about itself.
fn restart(old: &Document, new: &Document) -> Vec<String> {
    let fixed = [
        ("[node] workers", old.node.workers != new.node.workers),
        ("[control] address", old.control.address != new.control.address),
        ("[control] store", old.control.store != new.control.store),
        ("[xdp] interfaces", old.xdp.interfaces != new.xdp.interfaces),
        ("[xdp] mode", old.xdp.mode != new.xdp.mode),
        ("[xdp] pins", old.xdp.pins != new.xdp.pins),
        ("[xdp] source_v4", old.xdp.source_v4 != new.xdp.source_v4),
        ("[xdp] source_v6", old.xdp.source_v6 != new.xdp.source_v6),
    ];
    let changed = fixed.iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| format!("{key} changes only with a restart of the gateway")).collect()
}

fn served<'s>(snapshot: &'s Snapshot, listener: &Listener) -> Vec<&'s str> {
    let apis = snapshot.apis.iter().enumerate();
    apis.filter(|(index, api)| serves(listener, *index, api)).map(|(_, api)| api.name.as_str()).collect()
}

fn names(names: &[&str]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn vpc_of<'s>(snapshot: &'s Snapshot, listener: &Listener) -> &'s str {
    listener.vpc.map_or("none", |vpc| &snapshot.vpcs[vpc].id)
}

fn join(cidrs: &[IpNet]) -> String {
    cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
