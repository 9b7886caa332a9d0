//! The stages' caches: their figures, and FlushStageCache.

use super::node::Node;
use super::types::{CacheFlushed, CacheStats, FlushRequest, Kind, Problem, StageCache};
use crate::observe::log;
use crate::snapshot::Api;

pub(super) fn stats(node: &Node) -> CacheStats {
    let running = node.running();
    let cache = &running.snapshot.cache;
    CacheStats {
        bytes: cache.bytes(),
        bytes_max: cache.bytes_max(),
        stages: running.snapshot.apis.iter().filter_map(|api| figures(api)).collect(),
    }
}

/// From now on nobody is answered from what was cached before.
pub(super) fn flush(node: &Node, request: &FlushRequest) -> Result<CacheFlushed, Problem> {
    let running = node.running();
    let apis = running.snapshot.apis.iter().map(|api| &**api);
    let named: Vec<&Api> = apis.filter(|api| api.name == request.api).collect();
    if named.is_empty() {
        return Err(super::candidate::unknown_api(&request.api, &running.loaded.document));
    }
    let wanted = |api: &&&Api| request.stage.as_ref().is_none_or(|stage| *stage == api.stage);
    let mut stages: Vec<&Api> = named.iter().filter(wanted).copied().collect();
    if stages.is_empty() {
        let known: Vec<&str> = named.iter().map(|api| api.stage.as_str()).collect();
        let stage = request.stage.as_deref().unwrap_or_default();
        let what = format!("{} has no stage {stage:?}", request.api);
        return Err(Problem::new(Kind::Unknown, what, format!("it has: {}", known.join(", "))));
    }
    // With a stage goes its canary.
    let of_stages = |api: &&Api| stages.iter().any(|own| own.id == api.id && own.stage == api.stage);
    let all = running.snapshot.apis.iter().map(|api| &**api);
    let canaries: Vec<&Api> =
        all.filter(|api| api.release.is_canary() == Some(true)).filter(of_stages).collect();
    stages.extend(canaries);
    let mut flushed = Vec::new();
    for api in stages {
        let Some(cache) = &api.cache else { continue };
        flushed.extend(figures(api));
        cache.flush();
        log("info", "control", format_args!("the cache of {}, stage {}, is flushed", api.name, api.stage));
    }
    if flushed.is_empty() {
        let what = format!("{} has no cache", request.api);
        return Err(Problem::new(Kind::Conflict, what, "write cache_cluster_size = \"0.5\" in its [[api]]"));
    }
    Ok(CacheFlushed { flushed })
}

/// The cache of a stage that was made through the AWS API, if it has one.
pub(super) fn flush_stage(node: &Node, id: &str, stage: &str) {
    let running = node.running();
    let named = running.snapshot.apis.iter().filter(|api| api.id == id && api.stage == stage);
    for cache in named.filter_map(|api| api.cache.as_ref()) {
        cache.flush();
        log("info", "control", format_args!("the cache of {id}, stage {stage}, is flushed"));
    }
}

fn figures(api: &Api) -> Option<StageCache> {
    let stats = api.cache.as_ref()?.stats();
    Some(StageCache {
        api: api.name.clone(),
        stage: api.stage.clone(),
        entries: stats.entries,
        bytes: stats.bytes,
        bytes_max: stats.bytes_max,
        hits: stats.hits,
        misses: stats.misses,
    })
}
