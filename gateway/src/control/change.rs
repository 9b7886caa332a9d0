//! The changes that an operator asks for: reload the files, switch an API's endpoint type, detach XDP.

use super::aws;
use super::candidate::{self, Candidate, type_name};
use super::confirm::{self, Undo};
use super::kernel::Kernel;
use super::named::{self, StageNames};
use super::node::Node;
use super::notify;
use super::orders;
use super::plan::{self, plan};
use super::publish::{Keep, publish};
use super::short;
use super::types::{
    ApplyRequest, Change, Changed, Detached, EndpointRequest, Kind, Named, Plan, Problem, ResolveRequest,
    Wants,
};
use crate::config::{Loaded, Remembered, Stored};
use crate::model::EndpointType;
use crate::observe::{count, log};
use std::rc::Rc;
use std::sync::Arc;

const FILES_STAY: &str =
    "the files stay as they are: a restart takes them, also before the change is confirmed";

/// How a change is asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms {
    /// Only say what would change.
    pub(super) plan: bool,
    /// The generation that the plan was shown for.
    pub(super) generation: Option<u64>,
    /// Rolled back after so many seconds unless somebody confirms it.
    pub(super) confirm_s: Option<u64>,
}

/// All or nothing: any error and the old snapshot goes on serving; `status` shows why.
pub(super) async fn apply(node: &Node, request: &ApplyRequest) -> Result<Changed, Problem> {
    let _changing = node.changing.lock().await;
    if !request.plan {
        notify::reloading();
    }
    let result = apply_locked(node, request).await;
    if !request.plan {
        notify::ready(&serves(node, result.as_ref().err()));
        if result.as_ref().err().is_none_or(|problem| problem.kind != Kind::Conflict) {
            node.set_refused(result.as_ref().err());
        }
        match &result {
            Ok(changed) if !changed.done => log("info", "control", format_args!("nothing to do")),
            Ok(changed) => log("info", "control", format_args!("generation {} serves", changed.generation)),
            Err(problem) => {
                log("error", "control", format_args!("reload refused, nothing changed: {}", problem.what));
                // SIGHUP has nobody else to tell.
                for finding in problem.diagnostics.iter().filter(|finding| finding.severity == "error") {
                    log("error", "config", format_args!("{}", finding.told()));
                }
            }
        }
    }
    result
}

/// For a supervisor.
fn serves(node: &Node, refused: Option<&Problem>) -> String {
    let refused = refused.map_or(String::new(), |_| ", the last reload was refused".into());
    format!("generation {} serves{refused}", node.running().snapshot.generation)
}

async fn apply_locked(node: &Node, request: &ApplyRequest) -> Result<Changed, Problem> {
    let terms = Terms { plan: request.plan, generation: request.generation, confirm_s: request.confirm_s };
    begin(node, terms)?;
    let running = node.running();
    let (config, before) = (node.config.clone(), running.clone());
    let shown = request.files.clone();
    let load = move || {
        let loaded = candidate::load_whole(&config, Some(&before.loaded))?;
        same_files(shown.as_deref(), &loaded).map(|()| loaded)
    };
    let loaded = Arc::new(node.aside.run(load).await??);
    let next = compile(node, loaded, running.remembered.clone(), terms).await?;
    let warnings = next.all_warnings();
    let mut changed = change(node, next, terms, "the files are applied").await?;
    if terms.confirm_s.is_some() {
        changed.plan.warnings.push(FILES_STAY.into());
    }
    Ok(Changed { diagnostics: warnings, ..changed })
}

/// Compiles what runs with another type: edits of the files since then are not taken along.
pub(super) async fn set_endpoint(
    node: &Node,
    name: &str,
    request: &EndpointRequest,
) -> Result<Changed, Problem> {
    let changing = node.changing.lock().await;
    let terms = Terms { plan: request.plan, generation: request.generation, confirm_s: request.confirm_s };
    begin(node, terms)?;
    let named = named::resolve(node, &ResolveRequest::of(name, Wants::Either))?;
    let running = node.running();
    if named.managed_by == "aws" {
        let changed = set_stored(node, &named, request, terms).await?;
        // What is stored is published by whoever holds the lock next.
        drop(changing);
        if changed.done {
            node.aws.caught_up().await?;
        }
        return Ok(Changed { generation: node.running().snapshot.generation, ..changed });
    }
    let name = named.name.as_str();
    let Some(api) = running.snapshot.apis.iter().find(|api| api.name == name) else {
        let mend = "`gateway status` shows the errors of its file; mend them and `gateway apply`";
        return Err(Problem::new(Kind::Conflict, format!("{name} failed to load"), mend));
    };
    let mut remembered = running.remembered.clone();
    let follows =
        remembered.endpoint_types.contains_key(name) && file_says(node, name, request.endpoint_type).await;
    if api.endpoint_type == request.endpoint_type && !follows && !node.astray.get() {
        let plan = Plan { generation: running.snapshot.generation, ..Plan::default() };
        return Ok(unchanged(node, plan));
    }
    if follows {
        remembered.endpoint_types.remove(name);
    } else if api.endpoint_type != request.endpoint_type {
        remembered.endpoint_types.insert(name.into(), request.endpoint_type);
    }
    let next = compile(node, running.loaded.clone(), remembered, terms).await?;
    // The documents' own warnings are old; only what the switch brings is news.
    let mut news = next.warnings.clone();
    news.retain(|warning| !running.warnings.contains(warning));
    let what = format!("{name} is {} now", type_name(request.endpoint_type));
    let changed = Changed { diagnostics: news, ..change(node, next, terms, &what).await? };
    if changed.done {
        let closed = count(changed.connections_closed, "connection");
        log("info", "control", format_args!("{what}, {closed} closed"));
    }
    Ok(changed)
}

/// Of an API that was made through the AWS API: its own property, which all of its stages have.
async fn set_stored(
    node: &Node,
    named: &Named,
    request: &EndpointRequest,
    terms: Terms,
) -> Result<Changed, Problem> {
    let (mut before, wanted) = (node.aws.endpoint_of(named)?, request.endpoint_type);
    let (from, to) = (before.type_name().to_owned(), type_name(wanted));
    let mut plan = Plan { generation: node.running().snapshot.generation, ..Plan::default() };
    if from != to {
        let what = format!("endpoint type {from} → {to}, for {}", count(named.stages.len(), "stage"));
        plan.changes.push(Change { subject: format!("api {}", named::shown(named)), what });
        plan.differs = true;
        plan.warnings = short_urls(node, named, wanted).await;
    }
    if terms.plan || !plan.differs {
        return Ok(unchanged(node, plan));
    }
    let within = confirm::within(terms.confirm_s)?;
    aws::switch_endpoint(node, named, &mut before, wanted, within.is_some()).await?;
    let what = format!("{} is {to} now", named::shown(named));
    log("info", "control", format_args!("{what}"));
    let waits = within.and_then(|within| node.confirm.begin(what, within, Undo::Endpoint(Rc::new(before))));
    Ok(Changed { plan, done: true, waits, ..Changed::default() })
}

/// Whose short URLs begin and end when the stored API gets that type.
async fn short_urls(node: &Node, named: &Named, wanted: EndpointType) -> Vec<String> {
    let running = node.running();
    let mut stored = (*node.aws.serving()).clone();
    for stage in stored.apis.iter_mut().filter(|stage| stage.entry.id.as_ref() == Some(&named.id)) {
        Arc::make_mut(&mut stage.api).endpoint_type = Some(wanted);
    }
    let (loaded, remembered) = (running.loaded.clone(), running.remembered.clone());
    let planned = Terms { plan: true, ..Terms::default() };
    let next = match compile_with(node, loaded, stored, remembered, planned).await {
        Ok(next) => next,
        Err(problem) => return vec![format!("it would not be served: {}", problem.what)],
    };
    let names = StageNames::of([&*running.loaded, &*next.loaded]);
    let found = short::changed(&running.snapshot, &next.snapshot, &names);
    node.aside.free(next);
    found.iter().map(plan::told).collect()
}

/// Says the API's file so, both as it was read and as it stands now? Only then may a switch to that type be forgotten:
/// a start reads the file anew, and an edit that nobody applied would open what was just closed.
async fn file_says(node: &Node, name: &str, endpoint_type: EndpointType) -> bool {
    let says = |loaded: &Loaded| {
        let api = candidate::model(loaded, name);
        api.is_some_and(|api| api.endpoint_type.unwrap_or(EndpointType::Edge) == endpoint_type)
    };
    says(&node.running().loaded) && files(node).await.is_ok_and(|loaded| says(&loaded))
}

/// The files as they stand now.
pub(super) async fn files(node: &Node) -> Result<Loaded, Problem> {
    let (config, before) = (node.config.clone(), node.running());
    node.aside.run(move || candidate::load(&config, Some(&before.loaded))).await?
}

/// May a change begin on these terms? The caller holds `node.changing`.
pub(super) fn begin(node: &Node, terms: Terms) -> Result<(), Problem> {
    confirm::within(terms.confirm_s)?;
    same_generation(node, terms.generation)?;
    if terms.plan { Ok(()) } else { node.confirm.nothing_waits() }
}

pub(super) async fn compile(
    node: &Node,
    loaded: Arc<Loaded>,
    remembered: Remembered,
    terms: Terms,
) -> Result<Candidate, Problem> {
    // What is made through the AWS API is taken as it is now.
    let stored = (*node.aws.serving()).clone();
    compile_with(node, loaded, stored, remembered, terms).await
}

async fn compile_with(
    node: &Node,
    loaded: Arc<Loaded>,
    stored: Stored,
    remembered: Remembered,
    terms: Terms,
) -> Result<Candidate, Problem> {
    let running = node.running();
    let generation = if terms.plan { running.snapshot.generation + 1 } else { node.next_generation() };
    let (proposed, known) = (node.proposed.borrow().clone(), remembered.ids.clone());
    let compile =
        move || candidate::compile(&loaded, &stored, (remembered, &proposed), generation, Some(&running));
    let mut next = node.aside.run(compile).await??;
    let drawn = next.remembered.ids.iter().filter(|(name, _)| !known.contains_key(*name));
    *node.proposed.borrow_mut() = drawn.map(|(name, id)| (name.clone(), id.clone())).collect();
    node.peers.trust(&mut next.snapshot);
    Ok(next)
}

/// `what` names it for whoever is to confirm it.
pub(super) async fn change(
    node: &Node,
    next: Candidate,
    terms: Terms,
    what: &str,
) -> Result<Changed, Problem> {
    let plan = plan(node, &next, &orders::open_connections(&node.workers).await?);
    if terms.plan || !plan.differs {
        node.aside.free(next);
        return Ok(unchanged(node, plan));
    }
    let (before, within) = (node.running(), confirm::within(terms.confirm_s)?);
    let keep = if within.is_some() { Keep::WhenConfirmed } else { Keep::Now };
    let connections_closed = publish(node, next, keep).await?;
    let generation = node.running().snapshot.generation;
    let waits =
        within.and_then(|within| node.confirm.begin(what.into(), within, Undo::Configuration(before)));
    Ok(Changed { plan, done: true, generation, connections_closed, waits, diagnostics: Vec::new() })
}

/// An operator's address that workers and kernel do not know as trusted yet: what runs, with it.
pub(super) async fn trust_peers(node: &Node) -> Result<(), Problem> {
    let _changing = node.changing.lock().await;
    let running = node.running();
    if node.peers.are_trusted(&running.snapshot) {
        return Ok(());
    }
    let next = compile(node, running.loaded.clone(), running.remembered.clone(), Terms::default()).await?;
    // A change that waits for its confirmation is not kept by this.
    publish(node, next, Keep::WhenConfirmed).await.map(drop)
}

pub(super) fn unchanged(node: &Node, plan: Plan) -> Changed {
    Changed { plan, generation: node.running().snapshot.generation, ..Changed::default() }
}

/// What was shown to a person must be what happens.
fn same_generation(node: &Node, shown: Option<u64>) -> Result<(), Problem> {
    let now = node.running().snapshot.generation;
    match shown {
        Some(shown) if shown != now => Err(Problem::new(
            Kind::Conflict,
            format!("the plan was made for generation {shown}, generation {now} serves by now"),
            "look at the plan again",
        )),
        _ => Ok(()),
    }
}

fn same_files(shown: Option<&str>, loaded: &Loaded) -> Result<(), Problem> {
    match shown {
        Some(shown) if shown != loaded.digest() => {
            let what = "the files changed since the plan was made";
            Err(Problem::new(Kind::Conflict, what, "look at the plan again"))
        }
        _ => Ok(()),
    }
}

/// Takes the kernel guard away; the workers go on to enforce alone.
pub(super) async fn detach(node: &Node) -> Result<Detached, Problem> {
    let _changing = node.changing.lock().await;
    let interfaces = node.kernel.borrow().detach(&node.started_with.document.xdp.pins)?;
    let why = "detached by the operator; a restart of the gateway attaches it again".to_string();
    *node.kernel.borrow_mut() = Kernel::Off { why };
    log("warning", "xdp", format_args!("detached; the workers alone keep outsiders away from private APIs"));
    Ok(Detached { interfaces })
}
