//! Export and import of the whole store, and `gateway apply FILE`: one transaction each, in force when it is answered.

use super::answer::{self, Asked};
use super::findings;
use super::publish::is_served;
use super::random::{self, LOWER};
use crate::aws::{self, Difference, Fault, Overlaid, Target};
use crate::config::Owner;
use crate::control::named;
use crate::control::node::Node;
use crate::control::short;
use crate::control::types::{
    self, Finding, Kind, ObjectChange, ObjectsChanged, ObjectsRequest, Problem, ResolveRequest, Wants,
};
use crate::observe::{self, count, log};
use crate::openapi;
use crate::store::{Change, Failed, KeyValue, NotCommitted, Transaction};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::SystemTime;

/// Another node may write the same objects: so often a change begins anew.
const ATTEMPTS_MAX: usize = 8;

pub(in crate::control) fn export(node: &Node, secrets: bool) -> Result<serde_json::Value, Problem> {
    let now = observe::rfc3339(SystemTime::now());
    aws::export_store(&node.aws.store, secrets, &now).map_err(|failed| broken(&failed))
}

pub(in crate::control) async fn apply(
    node: &Node,
    request: &ObjectsRequest,
) -> Result<ObjectsChanged, Problem> {
    let before = node.running();
    let (changed, revision) = {
        let _turn = node.aws.turn.lock().await;
        let mut attempts = 0;
        loop {
            let (changed, change) = planned(node, request)?;
            if request.plan || !changed.differs {
                return Ok(changed);
            }
            if request.digest.as_ref().is_some_and(|shown| *shown != changed.digest) {
                let what = "the store, or the file, is not what it was when the plan was shown";
                return Err(Problem::new(Kind::Conflict, what, "look at the new plan, then try again"));
            }
            let touches = change.writes.keys().any(|key| is_served(key));
            match node.aws.store.commit(change).await {
                Ok(revision) => break (changed, touches.then_some(revision)),
                Err(NotCommitted::Conflict) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(NotCommitted::Conflict) => {
                    let what = "other changes come between again and again";
                    return Err(Problem::new(Kind::Conflict, what, "try again"));
                }
                Err(NotCommitted::Failed(failed)) => return Err(broken(&failed)),
            }
        }
    };
    log(
        "info",
        "aws",
        format_args!(
            "{} is what a file says now: {}",
            changed.target,
            count(changed.changes.len(), "change")
        ),
    );
    if let Some(revision) = revision {
        node.aws.in_force(revision).await.map_err(|why| {
            let what = format!("the change is stored, and the data plane does not serve by it yet: {why}");
            Problem::host(what, "look at the gateway's log; it is tried until it is")
        })?;
    }
    let running = node.running();
    let mut in_force = match changed.api.is_empty() {
        true => running.warnings.clone(),
        false => running.warnings_of(&changed.api, Some(&changed.stage)),
    };
    in_force.extend(short::lost_since(node, &before));
    Ok(ObjectsChanged { done: true, in_force, ..changed })
}

fn planned(node: &Node, request: &ObjectsRequest) -> Result<(ObjectsChanged, Change), Problem> {
    if aws::is_export(&request.text) {
        return whole(node, request);
    }
    if request.whole {
        let what = format!("{} is not what `gateway export` writes", file(request).display());
        return Err(Problem::new(Kind::Document, what, "an OpenAPI document is for `gateway apply FILE`"));
    }
    document(node, request)
}

fn whole(node: &Node, request: &ObjectsRequest) -> Result<(ObjectsChanged, Change), Problem> {
    if request.api.is_some() || request.stage.is_some() || request.region.is_some() {
        let what = "an export is of the whole store: it has its own APIs, stages and regions";
        return Err(Problem::new(Kind::Request, what, "leave --api, --stage and --region out"));
    }
    let mut tx = Transaction::new(&node.aws.store);
    let draw = |length| random::draw(LOWER, length);
    let imported = aws::import_store(&mut tx, &request.text, &draw).map_err(|errors| {
        let found = errors.into_iter().map(|what| finding(file(request), what)).collect();
        Problem::documents("the export is refused: nothing was changed", found)
    })?;
    let mut warnings = imported.warnings;
    warnings.extend(taken_ids(node, &tx));
    warnings.extend(aws::policy_warnings(&tx).map_err(|fault| refused(&fault))?);
    let target = format!("the whole store ({})", count(imported.objects, "object"));
    Ok((told(target, &imported.differences, warnings), tx.into_change()))
}

/// APIs of the store that a file keeps from being served: it has their id.
fn taken_ids(node: &Node, tx: &Transaction<'_>) -> Vec<String> {
    let running = node.running();
    let ids = running.loaded.document.apis.iter().filter(|entry| entry.owner.is_none());
    let ids =
        ids.filter_map(|entry| entry.id.clone().or_else(|| running.remembered.ids.get(&entry.name).cloned()));
    let stored = ids.filter(|id| tx.get(&format!("ids/{id}")).is_ok_and(|found| found.is_some()));
    stored.map(|id| format!("API {id} is not served: a file in gateway.toml has that id")).collect()
}

fn document(node: &Node, request: &ObjectsRequest) -> Result<(ObjectsChanged, Change), Problem> {
    let home = &node.started_with.document.node.region;
    let find = |name: &String| {
        let (region, home_region) = (request.region.clone(), Some(home.clone()));
        let asked = ResolveRequest { region, home_region, ..ResolveRequest::of(name, Wants::Either) };
        named::resolve(node, &asked)
    };
    let named = request.api.as_ref().map(find).transpose()?;
    let region =
        request.region.as_ref().or(named.as_ref().map(|named| &named.region)).unwrap_or(home).clone();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=32).contains(&region.len()) || !region.bytes().all(plain) {
        return Err(Problem::new(
            Kind::Request,
            format!("{region:?} is not a region"),
            "write for example us-east-1",
        ));
    }
    let files = node.aws.files.of(&node.running());
    let over = Overlaid { store: &node.aws.store, files: &files };
    let asked = Asked::document(request.text.as_bytes(), region);
    let mut call = answer::begin(node, &asked, &over);
    let stage = || named.as_ref().and_then(|named| named.stage.clone());
    let target = Target {
        api: named.as_ref().map(|named| named.id.clone()),
        stage: request.stage.clone().or_else(stage),
    };
    let applied = aws::apply(&mut call, &target).map_err(|fault| refused_document(request, &fault))?;
    let is_new = applied.differences.first().is_some_and(|first| first.what.starts_with("is made"));
    let known = Some(applied.api.as_str()).filter(|_| !is_new);
    let id = known.map_or(String::new(), |id| format!(" ({id})"));
    let target = format!("api {}{id}, stage {}", applied.name, applied.stage);
    let owner =
        Owner { account: node.started_with.document.node.account.clone(), region: asked.region.clone() };
    let warnings = findings::of_document(asked.body, known, owner, &applied.warnings);
    // Another id is drawn when it is done.
    let api = if is_new && request.plan { String::new() } else { applied.api };
    let changed =
        ObjectsChanged { api, stage: applied.stage, ..told(target, &applied.differences, warnings) };
    Ok((changed, call.tx.into_change()))
}

fn told(target: String, differences: &[Difference], warnings: Vec<String>) -> ObjectsChanged {
    let line = |difference: &Difference| ObjectChange {
        subject: difference.subject.clone(),
        what: difference.what.clone(),
        danger: difference.danger,
    };
    let changes: Vec<ObjectChange> = differences.iter().map(line).collect();
    let mut digest = Sha256::new();
    for change in &changes {
        digest.update(format!("{}\0{}\0{}\n", change.subject, change.what, change.danger));
    }
    let digest = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    ObjectsChanged {
        target,
        differs: !changes.is_empty(),
        changes,
        warnings,
        digest,
        ..ObjectsChanged::default()
    }
}

fn finding(file: &Path, what: String) -> Finding {
    let file = file.to_path_buf();
    Finding { severity: "error".into(), file, line: 0, column: 0, what, instead: String::new() }
}

/// As whoever asked calls it.
fn file(request: &ObjectsRequest) -> &Path {
    request.file.as_deref().unwrap_or(Path::new("the file"))
}

/// With each error's place in the file, where the document itself is wrong: AWS's message has no findings.
fn refused_document(request: &ObjectsRequest, fault: &Fault) -> Problem {
    let (file, problem) = (file(request), refused(fault));
    if problem.kind == Kind::Host {
        return problem;
    }
    match openapi::import_described(file, &request.text) {
        Err(errors) => {
            Problem::documents("the document is refused: nothing was changed", types::findings(&errors))
        }
        Ok(_) => Problem { what: finding(file, problem.what).told(), ..problem },
    }
}

fn refused(fault: &Fault) -> Problem {
    let kind = match fault.status {
        404 => Kind::Unknown,
        409 => Kind::Conflict,
        500.. => Kind::Host,
        _ => Kind::Document,
    };
    Problem::new(kind, fault.message.clone(), "nothing was changed")
}

fn broken(failed: &Failed) -> Problem {
    Problem::host(format!("the store fails: {failed}"), "look at the free space and the gateway's log")
}
