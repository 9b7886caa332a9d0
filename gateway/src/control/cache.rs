//! The stages' caches: their figures, and FlushStageCache.

use super::candidate::Running;
use super::named;
use super::node::Node;
use super::types::{
    CacheFlushed, CacheStats, FlushRequest, Kind, Named, Problem, ResolveRequest, StageCache, Wants,
};
use crate::observe::log;
use crate::snapshot::Api;

pub(super) fn stats(node: &Node) -> CacheStats {
    let running = node.running();
    let cache = &running.snapshot.cache;
    let figures = |api: &Api| figures(&running, api);
    CacheStats {
        bytes: cache.bytes(),
        bytes_max: cache.bytes_max(),
        stages: running.snapshot.apis.iter().filter_map(|api| figures(api)).collect(),
    }
}

/// From now on nobody is answered from what was cached before.
pub(super) fn flush(node: &Node, request: &FlushRequest) -> Result<CacheFlushed, Problem> {
    let asked = ResolveRequest {
        name: request.api.clone(),
        stage: request.stage.clone(),
        wants: Wants::Stage,
        ..ResolveRequest::default()
    };
    let named = named::resolve(node, &asked)?;
    let running = node.running();
    // With a stage goes its canary.
    let is_meant = |api: &&Api| api.id == named.id && Some(&api.stage) == named.stage.as_ref();
    let stages = running.snapshot.apis.iter().map(|api| &**api).filter(is_meant);
    let mut flushed = Vec::new();
    for api in stages {
        let Some(cache) = &api.cache else { continue };
        flushed.extend(figures(&running, api));
        cache.flush();
        log("info", "control", format_args!("the cache of {}, stage {}, is flushed", api.name, api.stage));
    }
    if flushed.is_empty() {
        let Named { id, managed_by, .. } = &named;
        let stage = named.stage.as_deref().unwrap_or_default();
        let what = format!("stage {stage} of {} has no cache", named::shown(&named));
        let mend = match managed_by.as_str() {
            "file" => "write cache_cluster_size = \"0.5\" in its [[api]], then `gateway apply`".into(),
            _ => format!(
                "aws apigateway update-stage --rest-api-id {id} --stage-name {stage} --patch-operations \
                 op=replace,path=/cacheClusterEnabled,value=true"
            ),
        };
        return Err(Problem::new(Kind::Conflict, what, mend));
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

fn figures(running: &Running, api: &Api) -> Option<StageCache> {
    let stats = api.cache.as_ref()?.stats();
    Some(StageCache {
        api: api.name.clone(),
        api_name: running.api_name(&api.name).to_owned(),
        stage: api.stage.clone(),
        entries: stats.entries,
        bytes: stats.bytes,
        bytes_max: stats.bytes_max,
        hits: stats.hits,
        misses: stats.misses,
    })
}
