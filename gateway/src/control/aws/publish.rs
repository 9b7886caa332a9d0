//! From the store to the data plane: every commit that touches what is served is published, whoever made it.

use super::Aws;
use crate::aws::{
    PLAN_KINDS, Served, ServedDomain, ServedPrivate, Which, deployments, endpoints, served, served_domain,
};
use crate::config::{ApiEntry, BasePath, Domain, Owner, Private, Stored, StoredApi};
use crate::control::change::{self, Terms};
use crate::control::node::Node;
use crate::control::publish::{Keep, publish};
use crate::control::short;
use crate::control::upgrade;
use crate::model::Place;
use crate::observe::log;
use crate::store::{Entry, Event, Failed, KeyValue, Read};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
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

/// Of which APIs (`account/region/id`) something was written since the last reading. None: of any.
type Written = Option<HashSet<String>>;

/// What was committed since the last reading.
struct News {
    /// Commits up to this revision were heard of, or read.
    heard: u64,
    written: Written,
    /// Something of it is served.
    due: bool,
}

impl News {
    fn hear(&mut self, event: Result<Event, RecvError>) {
        let Ok(event) = event else {
            (self.written, self.due) = (None, true);
            return;
        };
        // What was read whole meanwhile is known.
        if event.revision <= self.heard {
            return;
        }
        self.heard = event.revision;
        self.due |= event.keys.iter().any(|key| is_served(key));
        if let Some(written) = &mut self.written {
            written.extend(event.keys.iter().filter_map(|key| api_of(key)).map(str::to_owned));
        }
    }

    /// Hears of all commits up to that revision: a commit's event follows it at once.
    async fn catch_up(&mut self, events: &mut Receiver<Event>, revision: u64) {
        while self.written.is_some() && self.heard < revision {
            match tokio::time::timeout(AGAIN_AFTER, events.recv()).await {
                Ok(event) => self.hear(event),
                Err(_) => self.written = None,
            }
        }
    }
}

/// `account/region/id` of a key of an API's: `stages/account/region/id/prod`.
fn api_of(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('/')?;
    let mut slashes = rest.match_indices('/').map(|(at, _)| at).skip(1);
    slashes.next()?;
    rest.get(..slashes.next().unwrap_or(rest.len()))
}

impl Aws {
    /// Reads what is to be served; what was not written since the last time is neither read
    /// nor made again.
    pub(super) fn read_serving(&self, written: &Written) -> Result<(), Failed> {
        let mut cache = self.cache.borrow_mut();
        let mut next: Cache = HashMap::with_capacity(cache.len());
        let mut serving = Vec::new();
        let mut after = String::new();
        loop {
            let stages = self.store.scan("stages/", &after, CHUNK)?;
            let Some((last, _)) = stages.last() else { break };
            after.clone_from(last);
            for (key, stage) in &stages {
                let stays = |written: &HashSet<String>| api_of(key).is_none_or(|api| !written.contains(api));
                let before = cache.remove(key);
                let made = match before {
                    Some(before) if written.as_ref().is_some_and(stays) => before,
                    before => self.made(key, stage, before)?,
                };
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
        Ok(())
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

/// Publishes commits as long as the gateway runs.
pub(in crate::control) async fn publisher(node: Rc<Node>) {
    let mut events = node.aws.store.watch();
    // What was committed before this task began is in the first snapshot, or is found now.
    let mut news = News { heard: 0, written: None, due: true };
    loop {
        if news.due {
            all(&node, &mut events, &mut news).await;
        }
        let event = match news.due {
            true => tokio::time::timeout(AGAIN_AFTER, events.recv()).await,
            false => Ok(events.recv().await),
        };
        match event {
            Ok(Err(RecvError::Closed)) => return,
            Ok(event) => news.hear(event),
            Err(_) => continue,
        }
        if !news.due {
            let heard = |published: &mut Published| published.revision = published.revision.max(news.heard);
            node.aws.published.send_modify(heard);
        }
    }
}

/// Everything that is committed now. Where it fails it is due still.
async fn all(node: &Node, events: &mut Receiver<Event>, news: &mut News) {
    let aws = &node.aws;
    let _changing = node.changing.lock().await;
    if upgrade::is_left(node) {
        news.due = false;
        return;
    }
    let revision = match read(aws, events, news).await {
        Ok(revision) => revision,
        // The file is with a process that is about to take over.
        Err(failed) => {
            log("warning", "aws", format_args!("{failed}"));
            return;
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
            for lost in short::lost_since(node, &running) {
                log("warning", "aws", format_args!("{}; {}", lost.told(), lost.instead));
            }
            aws.differs.set(false);
            aws.published.send_replace(Published { revision, failed: None });
            news.due = false;
        }
        Err(problem) => {
            log("error", "aws", format_args!("revision {revision} is not in force: {}", problem.what));
            aws.published.send_modify(|published| published.failed = Some((revision, problem.what)));
        }
    }
}

/// Reads what is written. Returns up to which revision it is.
async fn read(aws: &Aws, events: &mut Receiver<Event>, news: &mut News) -> Result<u64, Failed> {
    if aws.was_away.take() {
        // Another process may have written meanwhile.
        news.written = None;
    }
    let revision = aws.store.revision()?;
    news.catch_up(events, revision).await;
    let whole = news.written.is_none();
    aws.read_serving(&news.written)?;
    news.written = Some(HashSet::new());
    if whole {
        news.heard = news.heard.max(revision);
    }
    Ok(revision.max(news.heard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, keys: &[&str]) -> Result<Event, RecvError> {
        Ok(Event { revision, keys: keys.iter().map(|key| (*key).to_owned()).collect() })
    }

    fn news() -> News {
        News { heard: 4, written: Some(HashSet::new()), due: false }
    }

    #[test]
    fn what_was_written_is_known_by_its_api() {
        let mut news = news();
        news.hear(event(4, &["stages/1/r/old/prod"]));
        assert!(!news.due && news.written == Some(HashSet::new()), "that was read already");
        news.hear(event(5, &["resources/1/r/a/b", "keys/x"]));
        assert!(!news.due, "nobody is served by a resource");
        news.hear(event(6, &["snapshots/1/r/b/d", "stages/1/r/b/prod"]));
        assert!(news.due);
        assert_eq!(news.written, Some(["1/r/a".to_owned(), "1/r/b".to_owned()].into()));
        assert_eq!(news.heard, 6);
    }

    #[test]
    fn whoever_missed_something_reads_everything() {
        let mut news = news();
        news.hear(Err(RecvError::Lagged(1)));
        assert!(news.due && news.written.is_none());
    }

    #[tokio::test]
    async fn a_revision_is_read_when_all_up_to_it_was_heard() {
        let (send, mut events) = tokio::sync::broadcast::channel(8);
        let mut news = news();
        for revision in 5..8 {
            send.send(Event { revision, keys: vec![format!("stages/1/r/{revision}/prod")] }).unwrap();
        }
        news.catch_up(&mut events, 6).await;
        assert_eq!(news.written, Some(["1/r/5".to_owned(), "1/r/6".to_owned()].into()));
    }

    #[test]
    fn a_key_says_its_api() {
        for (key, api) in [
            ("stages/1/us-east-1/abc/prod", Some("1/us-east-1/abc")),
            ("apis/1/us-east-1/abc", Some("1/us-east-1/abc")),
            ("snapshots/1/us-east-1/abc/d/e", Some("1/us-east-1/abc")),
            ("keys/AKID", None),
            ("nothing", None),
        ] {
            assert_eq!(api_of(key), api, "{key}");
        }
    }
}
