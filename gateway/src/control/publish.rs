//! A candidate comes into force, step by step, so that at no moment anybody is let in whom neither the old snapshot nor
//! the new one lets in; and when a step fails, the old snapshot is put back.

use super::candidate::{Candidate, Running};
use super::node::Node;
use super::orders;
use super::resolve;
use super::sockets::{self, Bound, Inherited};
use super::strictest::{equal, strictest};
use super::types::Problem;
use crate::model::EndpointType;
use crate::observe::log;
use crate::snapshot::Snapshot;
use crate::upstream::Target;
use crate::worker::{Handle, Order};
use crate::xdp::Rules;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Is what the candidate remembers written to the store?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Now,
    WhenConfirmed,
}

/// What was begun: all of it is taken back when a later step fails.
#[derive(Default)]
struct Begun {
    remembered: bool,
    kernel: bool,
    adopting: bool,
}

/// Returns how many client connections were closed. The caller holds `node.changing`.
pub(super) async fn publish(node: &Node, candidate: Candidate, keep: Keep) -> Result<usize, Problem> {
    let old = node.running();
    node.kernel.borrow().may_hold(&Rules::of(&candidate.snapshot))?;
    node.aws.restore_usage(&candidate.snapshot.plans)?;
    let (next, bound) = bind(candidate, node.workers.len(), Some(&old.snapshot), Vec::new())?;
    let known: HashSet<*const Target> = old.snapshot.targets.iter().map(Arc::as_ptr).collect();
    // A name that did not resolve before is asked again every so often: a change does not wait for it.
    let new = next.snapshot.targets.iter().filter(|target| !known.contains(&Arc::as_ptr(target)));
    warn_of_names(&resolve::first(&new.cloned().collect::<Vec<_>>()).await);
    let mut begun = Begun::default();
    match forward(node, (&old, &next), keep, bound, &mut begun).await {
        Ok(closed) => {
            next.snapshot.plans.begin(false);
            node.runs(next);
            node.astray.set(false);
            Ok(closed)
        }
        Err(problem) => {
            let problem = back(node, &old, &next, begun, problem).await;
            node.retire(Arc::new(next));
            Err(problem)
        }
    }
}

/// The candidate with sockets for its new listeners: `inherited` ones, or new ones, which do not listen yet.
pub(super) fn bind(
    candidate: Candidate,
    workers: usize,
    old: Option<&Snapshot>,
    mut inherited: Vec<Inherited>,
) -> Result<(Running, Vec<(usize, Bound)>), Problem> {
    let warnings = candidate.all_warnings();
    let Candidate { loaded, remembered, mut snapshot, parts, files, unbound, .. } = candidate;
    let mut bound: Vec<(usize, Bound)> = Vec::new();
    let shared: Vec<u16> = inherited.iter().map(|inherited| inherited.address.port()).collect();
    for index in unbound {
        let listener = &mut snapshot.listeners[index];
        let port = listener.address.port();
        let ours = old.is_some_and(|old| old.listeners.iter().any(|l| l.address.port() == port))
            || shared.contains(&port)
            || bound.iter().any(|(_, other)| other.address.port() == port);
        let sockets = sockets::bind(&listener.name, listener.address, workers, !ours, Some(&mut inherited))?;
        listener.address = sockets.address;
        bound.push((index, sockets));
    }
    Ok((Running { loaded, remembered, snapshot: Arc::new(snapshot), parts, files, warnings }, bound))
}

pub(super) fn listen(bound: &[(usize, Bound)], snapshot: &Snapshot) -> Result<(), Problem> {
    bound.iter().try_for_each(|(index, sockets)| {
        sockets.listen().map_err(|error| {
            let listener = &snapshot.listeners[*index];
            let what = format!("listener {} cannot listen on {}: {error}", listener.name, listener.address);
            Problem::host(
                what,
                format!("`ss -ltnp 'sport = :{}'` shows who is there", listener.address.port()),
            )
        })
    })
}

/// Gives every worker the snapshot and its sockets, and waits until all of them serve by it.
pub(super) async fn adopt(
    workers: &[Handle],
    snapshot: &Arc<Snapshot>,
    bound: Vec<(usize, Bound)>,
) -> Result<usize, Problem> {
    let mut shares = share(bound, workers.len()).into_iter();
    let adopted = orders::all(workers, |done| Order::Adopt {
        snapshot: snapshot.clone(),
        sockets: shares.next().unwrap_or_default(),
        done,
    });
    Ok(adopted.await?.iter().map(|adopted| adopted.connections_closed).sum())
}

async fn forward(
    node: &Node,
    (old, next): (&Running, &Running),
    keep: Keep,
    bound: Vec<(usize, Bound)>,
    begun: &mut Begun,
) -> Result<usize, Problem> {
    // A crash between two steps must leave a private API private. Closing is remembered before it takes effect,
    // opening after it did.
    let remembers = keep == Keep::Now && next.remembered != old.remembered;
    let opens = opens(&old.snapshot, &next.snapshot);
    if remembers && !opens {
        begun.remembered = true;
        node.store.remember(&next.remembered)?;
    }
    let (before, after) = (Rules::of(&old.snapshot), Rules::of(&next.snapshot));
    let between = strictest(&before, &after);
    begun.kernel = true;
    node.kernel.borrow_mut().apply(&between)?;
    listen(&bound, &next.snapshot)?;
    begun.adopting = true;
    let closed = adopt(&node.workers, &next.snapshot, bound).await?;
    if !equal(&after, &between) {
        node.kernel.borrow_mut().apply(&after)?;
    }
    if remembers && opens {
        begun.remembered = true;
        node.store.remember(&next.remembered)?;
    }
    Ok(closed)
}

/// Does an API stop being private?
fn opens(old: &Snapshot, next: &Snapshot) -> bool {
    let private = |api: &&Arc<crate::snapshot::Api>| api.endpoint_type == EndpointType::Private;
    old.apis.iter().filter(private).any(|before| {
        next.apis
            .iter()
            .any(|after| after.name == before.name && after.endpoint_type != EndpointType::Private)
    })
}

/// In the reverse order: the workers serve by the old snapshot before the kernel opens what only that one allows.
async fn back(node: &Node, old: &Running, next: &Running, begun: Begun, mut problem: Problem) -> Problem {
    let mut failures = Vec::new();
    if begun.remembered
        && let Err(failure) = node.store.remember(&old.remembered)
    {
        failures.push(failure.what);
    }
    if begun.kernel {
        let between = strictest(&Rules::of(&old.snapshot), &Rules::of(&next.snapshot));
        let mut undone = if begun.adopting { node.kernel.borrow_mut().apply(&between) } else { Ok(()) };
        if begun.adopting
            && let Err(failure) = readopt(node, old, next).await
        {
            failures.push(failure.what);
            undone = Err(Problem::host("the kernel keeps the stricter of both rules", ""));
        }
        let undone = undone.and_then(|()| node.kernel.borrow_mut().apply(&Rules::of(&old.snapshot)));
        failures.extend(undone.err().map(|failure| failure.what));
        if begun.adopting {
            old.snapshot.plans.begin(true);
        }
    }
    if failures.is_empty() {
        problem.what = format!("{}; nothing was changed", problem.what);
    } else {
        node.astray.set(true);
        problem.what = format!("{}; and the way back failed: {}", problem.what, failures.join("; "));
        log("error", "control", format_args!("{}", problem.what));
    }
    problem
}

/// The old snapshot again, with new sockets for the listeners that the next one had closed.
async fn readopt(node: &Node, old: &Running, next: &Running) -> Result<(), Problem> {
    let stays = |listener: &crate::snapshot::Listener| {
        next.snapshot.listeners.iter().any(|l| l.name == listener.name && l.address == listener.address)
    };
    let mut bound = Vec::new();
    for (index, listener) in old.snapshot.listeners.iter().enumerate().filter(|(_, l)| !stays(l)) {
        bound
            .push((index, sockets::bind(&listener.name, listener.address, node.workers.len(), false, None)?));
    }
    listen(&bound, &old.snapshot)?;
    adopt(&node.workers, &old.snapshot, bound).await.map(drop)
}

/// Each worker's sockets, with the index of their listener. Where an earlier process had more workers, some get two:
/// who waits in a backlog is not left there.
fn share(bound: Vec<(usize, Bound)>, workers: usize) -> Vec<Vec<(usize, OwnedFd)>> {
    let mut shares: Vec<Vec<(usize, OwnedFd)>> = std::iter::repeat_with(Vec::new).take(workers).collect();
    for (index, sockets) in bound {
        for (number, socket) in sockets.into_descriptors().enumerate() {
            shares[number % workers].push((index, socket));
        }
    }
    shares
}

pub(super) fn warn_of_names(failures: &[String]) {
    for failure in failures {
        log(
            "warning",
            "resolve",
            format_args!("{failure}; requests to this backend get 504 until it resolves"),
        );
    }
}
