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
    let mut lost = Vec::new();
    for listener in &old.listeners {
        let Some(before) = short(old, listener) else { continue };
        let Some(listener) = new.listeners.iter().find(|after| after.name == listener.name) else { continue };
        let after = new.apis.iter().position(|api| api.name == before.name);
        let Some(after) = after.filter(|index| serves(listener, *index, &new.apis[*index])) else { continue };
        let api = &new.apis[after];
        if api.stage != before.stage || reached_by_any_host(new, listener, after) {
            continue;
        }
        let (address, name) = (local(listener.address), names.stage(&api.name));
        let (id, stage) = (&api.id, &api.stage);
        lost.push(Finding {
            severity: "warning".into(),
            file: PathBuf::from(format!("listener {}", listener.name)),
            line: 0,
            column: 0,
            what: format!(
                "http://{address}/{stage}/ means {name} no longer: without a host that says which, it means an API \
                 only while there is no other"
            ),
            instead: format!(
                "call http://{address}/restapis/{id}/{stage}/_user_request_/ or http://{id}.execute-api.<anything>:{}/\
                 {stage}/, or give the API a host of its own",
                address.port()
            ),
        });
    }
    lost
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
