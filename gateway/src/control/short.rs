//! `http://ADDRESS/{stage}/`, which means the one API of a listener whatever the host: who loses it when others come.

use super::candidate::Running;
use super::named::StageNames;
use super::node::Node;
use super::status::{local, reached_by_any_host, serves};
use super::types::Finding;
use crate::snapshot::{Api, Listener, Snapshot};
use std::path::PathBuf;

/// What short URLs meant an API in `old`, and mean none in `new`, where the listener serves it still.
pub(super) fn lost(old: &Snapshot, new: &Snapshot, names: &StageNames) -> Vec<Finding> {
    let told = |(listener, api): (&Listener, &Api)| {
        let (address, name) = (local(listener.address), names.stage(&api.name));
        let (id, stage) = (&api.id, &api.stage);
        let what = format!(
            "http://{address}/{stage}/ means {name} no longer: without a host that says which, it means an API only \
             while there is no other"
        );
        let instead = format!(
            "call http://{address}/restapis/{id}/{stage}/_user_request_/ or http://{id}.execute-api.<anything>:{}/\
             {stage}/, or give the API a host of its own",
            address.port()
        );
        warning(listener, what, instead)
    };
    only_in(old, new).into_iter().map(told).collect()
}

/// As `lost`, and what short URLs mean in `new` that meant nothing in `old`, where the listener served it already.
pub(super) fn changed(old: &Snapshot, new: &Snapshot, names: &StageNames) -> Vec<Finding> {
    let told = |(listener, api): (&Listener, &Api)| {
        let (address, name) = (local(listener.address), names.stage(&api.name));
        let what = format!(
            "http://{address}/{}/ means {name} from then on, whatever the host: there is no other API any more",
            api.stage
        );
        warning(listener, what, "give the API a host of its own if that is not meant".into())
    };
    let begun = only_in(new, old).into_iter().map(told);
    lost(old, new, names).into_iter().chain(begun).collect()
}

/// What a short URL means an API in `one`, and means none in `other`, where the listener serves it too: as it is there.
fn only_in<'s>(one: &Snapshot, other: &'s Snapshot) -> Vec<(&'s Listener, &'s Api)> {
    let in_other = |listener: &Listener| {
        let there = short(one, listener)?;
        let listener = other.listeners.iter().find(|also| also.name == listener.name)?;
        let index = other.apis.iter().position(|api| api.name == there.name)?;
        let api = &*other.apis[index];
        let means_none = serves(listener, index, api)
            && api.stage == there.stage
            && !reached_by_any_host(other, listener, index);
        means_none.then_some((listener, api))
    };
    one.listeners.iter().filter_map(in_other).collect()
}

fn warning(listener: &Listener, what: String, instead: String) -> Finding {
    let file = PathBuf::from(format!("listener {}", listener.name));
    Finding { severity: "warning".into(), file, line: 0, column: 0, what, instead }
}

/// By what serves now, and did not `before`.
pub(super) fn lost_since(node: &Node, before: &Running) -> Vec<Finding> {
    let now = node.running();
    let names = || StageNames::of([&*before.loaded, &*now.loaded]);
    match before.snapshot.generation == now.snapshot.generation {
        true => Vec::new(),
        false => lost(&before.snapshot, &now.snapshot, &names()),
    }
}

/// The API that any host means there; whatever it is, it is the first that is served.
fn short<'s>(snapshot: &'s Snapshot, listener: &Listener) -> Option<&'s Api> {
    let served =
        |(index, api): &(usize, &std::sync::Arc<Api>)| serves(listener, *index, api) && api.default_endpoint;
    let (index, api) = snapshot.apis.iter().enumerate().find(served)?;
    reached_by_any_host(snapshot, listener, index).then_some(&**api)
}
