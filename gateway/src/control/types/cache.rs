//! Of the stages' caches.

use serde::{Deserialize, Serialize};

/// GET /cache
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheStats {
    /// Held by the caches of all stages, and what they may hold together.
    pub bytes: u64,
    pub bytes_max: u64,
    /// Of stages that have a cache.
    pub stages: Vec<StageCache>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StageCache {
    pub api: String,
    /// The API's own name.
    #[serde(default)]
    pub api_name: String,
    pub stage: String,
    pub entries: u64,
    /// Keys and overhead included; also what is still being sent.
    pub bytes: u64,
    pub bytes_max: u64,
    /// AWS: CacheHitCount and CacheMissCount, since the cache was made.
    pub hits: u64,
    pub misses: u64,
}

/// POST /cache/flush
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushRequest {
    /// Name or id of an API; its stage may stand behind a dot.
    pub api: String,
    /// None: the API's only stage.
    #[serde(default)]
    pub stage: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheFlushed {
    /// As they were before.
    pub flushed: Vec<StageCache>,
}
