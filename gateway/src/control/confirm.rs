//! Changes that are in force at once and kept only when somebody confirms them in time: whoever locked himself out
//! cannot. Nothing of them is remembered until then: a gateway that dies starts with what was before.

use super::aws::EndpointBefore;
use super::bans;
use super::candidate::Running;
use super::change::{Terms, compile};
use super::node::Node;
use super::publish::{Keep, publish};
use super::types::{ConfirmRequest, Confirmed, Kind, PendingChange, Problem};
use crate::model::duration_text;
use crate::observe::log;
use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Seconds that may be asked for.
pub(super) const WITHIN_S: RangeInclusive<u64> = 5..=3600;
/// A way back that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The one change that waits, if any.
#[derive(Default)]
pub(super) struct Confirm {
    pending: RefCell<Option<Pending>>,
    last_id: Cell<u64>,
    /// There is a new deadline.
    begun: Notify,
}

struct Pending {
    id: u64,
    what: String,
    until: Instant,
    undo: Undo,
    /// Why the way back failed last.
    failed: Option<String>,
}

/// What was before the change.
#[derive(Clone)]
pub(super) enum Undo {
    Configuration(Arc<Running>),
    Bans(Rc<bans::Undo>),
    /// Of a stored API.
    Endpoint(Rc<EndpointBefore>),
}

impl Confirm {
    /// One at a time: two ways back would cross.
    pub(super) fn nothing_waits(&self) -> Result<(), Problem> {
        let Some(PendingChange { id, what, seconds_left, .. }) = self.shown() else { return Ok(()) };
        Err(Problem::new(
            Kind::Conflict,
            format!("change {id} ({what}) is not confirmed yet, it is rolled back in {seconds_left} s"),
            "`gateway confirm` keeps it, `gateway confirm --rollback` takes it back at once",
        ))
    }

    /// The change is in force already. To be called while no other one can begin.
    pub(super) fn begin(&self, what: String, within: Duration, undo: Undo) -> Option<PendingChange> {
        self.last_id.set(self.last_id.get() + 1);
        let id = self.last_id.get();
        let time = duration_text(within);
        log("info", "control", format_args!("change {id}, {what}: rolled back in {time} unless confirmed"));
        let until = Instant::now() + within;
        *self.pending.borrow_mut() = Some(Pending { id, what, until, undo, failed: None });
        self.begun.notify_one();
        self.shown()
    }

    pub(super) fn shown(&self) -> Option<PendingChange> {
        self.pending.borrow().as_ref().map(|pending| PendingChange {
            id: pending.id,
            what: pending.what.clone(),
            seconds_left: pending.until.saturating_duration_since(Instant::now()).as_secs(),
            failed: pending.failed.clone(),
        })
    }

    fn until(&self) -> Option<Instant> {
        self.pending.borrow().as_ref().map(|pending| pending.until)
    }

    fn undo(&self) -> Option<Undo> {
        self.pending.borrow().as_ref().map(|pending| pending.undo.clone())
    }

    /// It waits no more.
    fn end(&self) {
        *self.pending.borrow_mut() = None;
        self.begun.notify_one();
    }
}

/// None: kept at once.
pub(super) fn within(seconds: Option<u64>) -> Result<Option<Duration>, Problem> {
    match seconds {
        Some(seconds) if !WITHIN_S.contains(&seconds) => Err(Problem::new(
            Kind::Request,
            format!("{seconds} s is no time to confirm a change in"),
            "give 5 s to 1 h (`--confirm 60s`)",
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

/// Keeps the change that waits, or takes it back at once.
pub(super) async fn confirm(node: &Node, request: &ConfirmRequest) -> Result<Confirmed, Problem> {
    let of_stored = matches!(node.confirm.undo(), Some(Undo::Endpoint(_)));
    let confirmed = decide(node, request).await?;
    if of_stored && request.rollback {
        // What is taken back in the store is published by whoever has the lock next.
        node.aws.caught_up().await?;
    }
    Ok(Confirmed { generation: node.running().snapshot.generation, ..confirmed })
}

async fn decide(node: &Node, request: &ConfirmRequest) -> Result<Confirmed, Problem> {
    let _changing = node.changing.lock().await;
    let Some(pending) = node.confirm.shown() else {
        let mend = "`gateway status` shows what runs; a change that was rolled back must be made again";
        return Err(Problem::new(Kind::Unknown, "no change waits to be confirmed", mend));
    };
    let PendingChange { id, what, .. } = pending;
    if request.id.is_some_and(|asked| asked != id) {
        let mend = format!("`gateway confirm {id}` keeps it");
        return Err(Problem::new(
            Kind::Conflict,
            format!("change {id} ({what}) is the one that waits"),
            mend,
        ));
    }
    if request.rollback {
        roll_back(node, "by the operator").await?;
    } else {
        keep(node)?;
        node.confirm.end();
        log("info", "control", format_args!("change {id}, {what}: confirmed"));
    }
    let generation = node.running().snapshot.generation;
    Ok(Confirmed { id, what, kept: !request.rollback, generation })
}

/// On disk when it returns.
fn keep(node: &Node) -> Result<(), Problem> {
    match node.confirm.undo() {
        Some(Undo::Configuration(_)) => node.store.remember(&node.running().remembered),
        Some(Undo::Bans(_)) => bans::keep_confirmed(node),
        Some(Undo::Endpoint(_)) => node.aws.forget_unconfirmed(),
        None => Ok(()),
    }
}

/// Takes back what nobody confirms in time, for as long as the node runs.
pub(super) async fn watch(node: Rc<Node>) {
    loop {
        match node.confirm.until() {
            None => node.confirm.begun.notified().await,
            Some(until) => tokio::select! {
                () = tokio::time::sleep_until(until) => expire(&node).await,
                () = node.confirm.begun.notified() => {}
            },
        }
    }
}

pub(super) async fn expire(node: &Node) {
    let _changing = node.changing.lock().await;
    // It may have been confirmed while this waited for its turn.
    if node.confirm.until().is_some_and(|until| until <= Instant::now()) {
        // Said in the log, and tried again.
        let _ = roll_back(node, "nobody confirmed it in time").await;
    }
}

/// Before the gateway ends: the kernel's rules outlive it, and nobody could confirm them any more.
pub(super) async fn at_the_end(node: &Node) {
    let _changing = node.changing.lock().await;
    if node.confirm.shown().is_some() {
        let _ = roll_back(node, "the gateway ends").await;
    }
}

/// The caller holds `node.changing`.
async fn roll_back(node: &Node, why: &str) -> Result<(), Problem> {
    let Some(PendingChange { id, what, failed: known, .. }) = node.confirm.shown() else { return Ok(()) };
    let undone = match node.confirm.undo() {
        Some(Undo::Configuration(before)) => configuration(node, &before, &what).await,
        Some(Undo::Bans(undo)) => bans::take_back(node, &undo).await,
        Some(Undo::Endpoint(before)) => node.aws.restore_endpoint(&before).await,
        None => Ok(()),
    };
    match &undone {
        Ok(()) => {
            log("warning", "control", format_args!("change {id}, {what}: rolled back, {why}"));
            node.confirm.end();
        }
        Err(problem) => {
            if known.as_ref() != Some(&problem.what) {
                let what = format_args!("change {id}, {what}: rolling back fails, is tried again: {problem}");
                log("error", "control", what);
            }
            if let Some(pending) = node.confirm.pending.borrow_mut().as_mut() {
                pending.failed = Some(problem.what.clone());
                pending.until = Instant::now() + RETRY_AFTER;
            }
            node.confirm.begun.notify_one();
        }
    }
    undone
}

async fn configuration(node: &Node, before: &Running, what: &str) -> Result<(), Problem> {
    let running = node.running();
    let (loaded, remembered) = (before.loaded.clone(), before.remembered.clone());
    let next = compile(node, loaded, remembered, Terms::default()).await?;
    publish(node, next, Keep::Now).await?;
    if before.files != running.files {
        let what = format!("the change \"{what}\" was rolled back: the files say what does not run");
        let mend = "mend the files and `gateway apply`; a restart takes them as they are";
        node.set_refused(Some(&Problem::new(Kind::Conflict, what, mend)));
    }
    Ok(())
}
