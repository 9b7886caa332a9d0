//! From the store to the data plane: every commit that touches what is served is published, whoever made it.

use super::Aws;
use crate::aws::{
    PLAN_KINDS, Served, ServedDomain, ServedPrivate, Which, deployments, endpoints, served, served_domain,
};
use crate::config::{ApiEntry, BasePath, Domain, Owner, Private, Stored, StoredApi};
use crate::control::change::{self, Terms};
use crate::control::node::Node;
use crate::control::publish::{Keep, publish};
use crate::control::upgrade;
use crate::model::Place;
use crate::observe::log;
use crate::store::{Entry, Failed, KeyValue, Read};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// A publication that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a caller waits for its change to be in force.
const WITHIN: Duration = Duration::from_secs(20);
/// Objects that are read at once.
const CHUNK: usize = 500;
const MAPPINGS: &str = "mappings/";

/// How far the data plane is behind the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// Everything up to this revision is in force.
    revision: u64,
    /// Up to this revision it was tried and failed, for this reason.
    failed: Option<(u64, String)>,
}

/// By stage: the revisions of stage, API and snapshots that it was made from, and what is to be served of it: its own
/// deployment, and its canary's.
pub(super) type Cache = HashMap<String, ([u64; 4], Vec<StoredApi>)>;

impl Aws {
    /// Reads what is to be served; what did not change since the last time is not made again.
    pub(super) fn read_serving(&self) -> Result<u64, Failed> {
        let revision = self.store.revision()?;
        let mut cache = self.cache.borrow_mut();
        let mut next: Cache = HashMap::with_capacity(cache.len());
        let mut serving = Vec::new();
        let mut after = String::new();
        loop {
            let stages = self.store.scan("stages/", &after, CHUNK)?;
            let Some((last, _)) = stages.last() else { break };
            after.clone_from(last);
            for (key, stage) in &stages {
                let made = self.made(key, stage, cache.remove(key))?;
                serving.extend(made.1.clone());
                next.insert(key.clone(), made);
            }
        }
        *cache = next;
        if self.read_plans()? {
            self.differs.set(true);
        }
        let (plans, meters) = (self.plans.borrow().1.clone(), self.meters.clone());
        let serving = Stored { apis: serving, domains: self.domains()?, plans, meters };
        let before = self.serving.replace(Rc::new(serving));
        let now = self.serving();
        let same = |(a, b): (&StoredApi, &StoredApi)| a.entry == b.entry && Arc::ptr_eq(&a.api, &b.api);
        let apis = before.apis.len() == now.apis.len() && before.apis.iter().zip(&now.apis).all(same);
        if !apis || before.domains != now.domains {
            self.differs.set(true);
        }
        Ok(revision)
    }

    fn domains(&self) -> Result<Vec<Domain>, Failed> {
        const DOMAINS: &str = "domainnames/";
        let domains = self.all(DOMAINS)?;
        if domains.is_empty() {
            return Ok(Vec::new());
        }
        let (mappings, associations) = (self.all(MAPPINGS)?, self.all("associations/")?);
        let mut mappings_of: HashMap<&str, Vec<&[u8]>> = HashMap::new();
        for (key, mapping) in &mappings {
            let domain = key[MAPPINGS.len()..].rsplit_once('/').map_or("", |(domain, _)| domain);
            mappings_of.entry(domain).or_default().push(&mapping.value);
        }
        let damaged = |key: &str, why: &str| log("error", "aws", format_args!("{key} is damaged: {why}"));
        let endpoints = endpoints(associations.iter().map(|(_, found)| found.value.as_slice()));
        let endpoints = endpoints.unwrap_or_else(|why| {
            damaged("an access association", &why);
            HashMap::new()
        });
        let mut found = Vec::new();
        for (key, domain) in &domains {
            let name = &key[DOMAINS.len()..];
            let mut parts = name.splitn(3, '/');
            let (Some(account), Some(region)) = (parts.next(), parts.next()) else { continue };
            let mappings = mappings_of.get(name).map_or(&[][..], Vec::as_slice);
            match served_domain(&domain.value, mappings, &endpoints) {
                Ok(served) => {
                    let owner = Owner { account: account.into(), region: region.into() };
                    found.push(domain_of(served, owner));
                }
                Err(why) => damaged(key, &why),
            }
        }
        Ok(found)
    }

    pub(super) fn all(&self, prefix: &str) -> Result<Vec<(String, Entry)>, Failed> {
        let mut found: Vec<(String, Entry)> = Vec::new();
        loop {
            let after = found.last().map_or("", |(key, _)| key.as_str());
            let more = self.store.scan(prefix, after, CHUNK)?;
            if more.is_empty() {
                return Ok(found);
            }
            found.extend(more);
        }
    }

    fn made(
        &self,
        key: &str,
        stage: &crate::store::Entry,
        before: Option<([u64; 4], Vec<StoredApi>)>,
    ) -> Result<([u64; 4], Vec<StoredApi>), Failed> {
        let nothing = ([stage.revision, 0, 0, 0], Vec::new());
        let parts: Vec<&str> = key.split('/').collect();
        let [_, account, region, id, _] = parts.as_slice() else { return Ok(nothing) };
        let scope = format!("{account}/{region}/{id}");
        let Some(api) = self.store.get(&format!("apis/{scope}"))? else { return Ok(nothing) };
        let damaged = |why: String| {
            log("error", "aws", format_args!("{key} is damaged and not served: {why}"));
        };
        let Ok((deployment, canary)) = deployments(&stage.value).map_err(damaged) else { return Ok(nothing) };
        let snapshot_of = |deployment: &str| self.store.get(&format!("snapshots/{scope}/{deployment}"));
        let Some(snapshot) = snapshot_of(&deployment)? else { return Ok(nothing) };
        let canary = canary.map(|canary| snapshot_of(&canary)).transpose()?.flatten();
        let of_canary = canary.as_ref().map_or(0, |snapshot| snapshot.revision);
        let revisions = [stage.revision, api.revision, snapshot.revision, of_canary];
        if let Some(before) = before.filter(|(same, _)| *same == revisions) {
            return Ok(before);
        }
        let owner = Owner { account: (*account).into(), region: (*region).into() };
        let mut made = Vec::new();
        // The canary stands behind its stage.
        let both = [(Which::Stages, Some(&snapshot)), (Which::Canarys, canary.as_ref())];
        for (which, snapshot) in both.into_iter().filter_map(|(which, found)| Some((which, found?))) {
            match served(&api.value, &stage.value, &snapshot.value, which) {
                Ok(served) => made.push(stored(served, owner.clone())),
                Err(why) => damaged(why),
            }
        }
        Ok((revisions, made))
    }

    /// Waits until the data plane serves by that revision. Err: why it does not.
    pub(super) async fn in_force(&self, revision: u64) -> Result<(), String> {
        let mut published = self.published.subscribe();
        let done = published.wait_for(|published| {
            let failed = published.failed.as_ref().is_some_and(|(failed, _)| *failed >= revision);
            published.revision >= revision || failed
        });
        match tokio::time::timeout(WITHIN, done).await {
            Ok(Ok(published)) if published.revision >= revision => Ok(()),
            Ok(Ok(published)) => {
                Err(published.failed.clone().map_or_else(|| "it failed".into(), |(_, why)| why))
            }
            _ => Err(format!("the workers did not take it over in {} s", WITHIN.as_secs())),
        }
    }
}

fn domain_of(served: ServedDomain, owner: Owner) -> Domain {
    let base_path = |(path, api, stage)| BasePath { path, api, stage };
    let private =
        served.private.map(|ServedPrivate { sources, policy }| Private { listeners: sources, policy, owner });
    Domain { host: served.host, base_paths: served.base_paths.into_iter().map(base_path).collect(), private }
}

fn stored(served: Served, owner: Owner) -> StoredApi {
    let canary = if served.release.is_canary() == Some(true) { "/canary" } else { "" };
    let name = format!("{}.{}{canary}", served.id, served.stage);
    let entry = ApiEntry {
        file: PathBuf::from(&name),
        name,
        id: Some(served.id),
        stage: served.stage,
        hosts: Vec::new(),
        default_endpoint: served.default_endpoint,
        stage_variables: served.variables,
        settings: served.settings,
        setting_places: BTreeMap::new(),
        owner: Some(owner),
        deployment_id: Some(served.deployment_id),
        release: served.release,
        place: Place::default(),
    };
    StoredApi { entry, api: Arc::new(served.api) }
}

/// Does the data plane depend on this key?
pub(super) fn is_served(key: &str) -> bool {
    ["apis/", "stages/", "domainnames/", "mappings/", "associations/"]
        .iter()
        .chain(&PLAN_KINDS)
        .any(|kind| key.starts_with(kind))
}

/// Publishes commits as long as the gateway runs. `start`: of the store when the node's first snapshot was made.
pub(in crate::control) async fn publisher(node: Rc<Node>) {
    let aws = &node.aws;
    let mut events = aws.store.watch();
    // What was committed before this task began is in the first snapshot, or is found now.
    let mut due = true;
    loop {
        if due {
            due = !all(&node).await;
        }
        let event = if due {
            match tokio::time::timeout(AGAIN_AFTER, events.recv()).await {
                Ok(event) => event,
                Err(_) => continue,
            }
        } else {
            events.recv().await
        };
        match event {
            Ok(event) if event.keys.iter().any(|key| is_served(key)) => due = true,
            Ok(event) if !due => {
                aws.published.send_modify(|published| published.revision = event.revision);
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => due = true,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Everything that is committed now. False: it has to be tried again.
async fn all(node: &Node) -> bool {
    let aws = &node.aws;
    let _changing = node.changing.lock().await;
    if upgrade::is_left(node) {
        return true;
    }
    let revision = match aws.read_serving() {
        Ok(revision) => revision,
        // The file is with a process that is about to take over.
        Err(failed) => {
            log("warning", "aws", format_args!("{failed}"));
            return false;
        }
    };
    let running = node.running();
    let (loaded, remembered) = (running.loaded.clone(), running.remembered.clone());
    let result = match aws.differs.get() {
        false => Ok(0),
        true => match change::compile(node, loaded, remembered, Terms::default()).await {
            // A change of the operator's that waits for its confirmation is not kept by this.
            Ok(next) => publish(node, next, Keep::WhenConfirmed).await,
            Err(problem) => Err(problem),
        },
    };
    match result {
        Ok(_) => {
            aws.differs.set(false);
            aws.published.send_replace(Published { revision, failed: None });
            true
        }
        Err(problem) => {
            log("error", "aws", format_args!("revision {revision} is not in force: {}", problem.what));
            aws.published.send_modify(|published| published.failed = Some((revision, problem.what)));
            false
        }
    }
}
